"""Services in this process, closed when the test ends, and the page of a real one."""

import contextlib
from pathlib import Path

import pytest
from running import running

from browsing import CHROMIUM, FLAGS
from commands import run
from small_images import small_image, write_class


@pytest.fixture
def serve(tmp_path):
    """Open a service in this process, with a pass or the file of a model; gives a client."""
    from starlette.testclient import TestClient

    from ahl.apps.serve.app import create_app
    from ahl.apps.serve.passes import open_passes
    from ahl.apps.serve.settings import Limits, Settings

    with contextlib.ExitStack() as stack:

        def opened(scorer, *, base_url="http://127.0.0.1", settings=None, **limits):
            chosen = Settings(model=tmp_path / "m.ahl", limits=Limits(**limits), **(settings or {}))
            passes = [scorer]
            if isinstance(scorer, Path):
                passes = open_passes(Settings(model=scorer, device="cpu", passes=1))
            app = create_app(passes, chosen)
            client = TestClient(app, base_url=base_url, raise_server_exceptions=False)
            return stack.enter_context(client)

        yield opened


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def shown_images(tmp_path_factory):
    """Two good ones, a dot and a frame; one of them as TIFF, which browsers do not draw."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("shown")
    good = write_class(folder / "good", "good", 2, first=300)
    dot = write_class(folder / "dot", "dot", 1, first=310)
    tiff = folder / "frame.tif"
    Image.fromarray(small_image("frame", 320)).save(tiff)
    for number, path in enumerate((*good, *dot)):
        path.rename(folder / f"part-{number}.png")
    return [*sorted(folder.glob("part-*")), tiff]


@pytest.fixture(scope="session")
def page_service(model, tmp_path_factory):
    """The real one, with a threshold and a folder for marks."""
    folder = tmp_path_factory.mktemp("service")
    decided = folder / "m.ahl"
    run("threshold", model, "--max-false-alarm-rate", 0.1, "-o", decided)
    options = ("--feedback-dir", str(folder / "marks"))
    with running(decided, folder / "log", *options) as found:
        found.marks = folder / "marks"
        yield found


@pytest.fixture
def show(browser, page_service):
    """Open the page; what it logs, and what it asks for elsewhere, is a failure."""
    contexts, heard, refused = [], [], []

    def open_page(*, width=1280, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: heard.append(message.text))
        page.on("response", lambda one: refused.append(one.status) if one.status >= 400 else None)
        page.on("pageerror", lambda error: heard.append(str(error)))
        own = (f"{page_service.address}/", "data:", "blob:")
        page.on("request", lambda r: None if r.url.startswith(own) else heard.append(r.url))
        page.goto(page_service.address)
        page.wait_for_selector("#images:not([hidden])")
        return page

    open_page.refused = refused
    yield open_page
    for context in contexts:
        context.close()
    # Of what is refused the browser says a line itself.
    assert [one for one in heard if not one.startswith("Failed to load resource")] == []
    assert len(heard) == len(refused)
