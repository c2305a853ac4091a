"""`ahl` with a scorer that needs no torch: run as a script, also by the processes it starts."""

import os

from fakes import FakeScorer

import ahl.apps.serve.connections
import ahl.apps.serve.server
from ahl._common.errors import ModelFileError


def opened(settings):
    path = settings.model
    if path.read_bytes() == b"broken":
        raise ModelFileError(f"{path} is broken")
    path.with_name(f"opened by {os.getpid()}").touch()
    return [FakeScorer()]


ahl.apps.serve.server.open_passes = opened
ahl.apps.serve.connections.SLOWEST = 2**30  # tests do not wait long for who does not read
ahl.apps.serve.server.AGAIN = 1.0  # nor until a process is tried again

if __name__ == "__main__":
    from ahl.apps.cli import main

    main()
