"""The report in headless Chromium: quiet, alone, narrow, dark and on paper."""

import pytest

from browsing import CHROMIUM, FLAGS, LOW_CONTRAST, TOO_WIDE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def show(browser, report_file):
    """Open the report; whatever it says or asks for that it should not is a failure."""
    contexts, heard = [], []

    def open_page(*, width=1280, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 844}, color_scheme=scheme, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: heard.append(request.url))
        page.goto(report_file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    asked = [one for one in heard if not one.startswith("data:")]
    assert asked == [report_file.as_uri()] * len(contexts)


def test_pictures_are_there_and_links_lead_somewhere(show):
    page = show()
    assert page.title().startswith("benchmark")
    broken = "() => [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert page.evaluate("document.images.length") == 60
    assert page.evaluate(broken) == 0
    page.click("nav a >> nth=-1")
    assert page.url.endswith("#notes")


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_is_wider_than_the_screen(show, width):
    page = show(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(TOO_WIDE) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(show, scheme):
    page = show(scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    low, seen = page.evaluate(LOW_CONTRAST)
    assert low == []
    assert {"h1", "p", "td", "dd", "text"} <= set(seen)


def test_it_prints(show):
    page = show(scheme="dark")
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert 3 <= pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") <= 20
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
