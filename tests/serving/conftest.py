"""Services in this process, closed when the test ends."""

import contextlib

import pytest


@pytest.fixture
def serve(tmp_path):
    """Open a service in this process; gives a client, and takes limits and settings."""
    from starlette.testclient import TestClient

    from ahl.serving.app import create_app
    from ahl.serving.settings import Limits, Settings

    with contextlib.ExitStack() as stack:

        def opened(engine, *, base_url="http://127.0.0.1", settings=None, **limits):
            chosen = Settings(model=tmp_path / "m.ahl", limits=Limits(**limits), **(settings or {}))
            app = create_app(engine, chosen)
            client = TestClient(app, base_url=base_url, raise_server_exceptions=False)
            return stack.enter_context(client)

        yield opened
