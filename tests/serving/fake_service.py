"""`ahl` with an engine that needs no torch: run as a script, also by the processes it starts."""

from fakes import FakeEngine

import ahl.serving.protocol
import ahl.serving.server
from ahl.errors import ModelFileError


def opened(path, **_):
    if path.read_bytes() == b"broken":
        raise ModelFileError(f"{path} is broken")
    return [FakeEngine()]


ahl.serving.server.open_engines = opened
ahl.serving.protocol.SLOWEST = 2**30  # tests do not wait long for who does not read

if __name__ == "__main__":
    from ahl.cli import main

    main()
