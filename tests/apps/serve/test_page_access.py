"""Who can use the page: names, focus, contrast, small screens, a token."""

import pytest
from fakes import png
from paging import scored
from running import FAKE, running

from browsing import CHROMIUM, LOW_CONTRAST, TOO_WIDE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

# Roles that a person operates; what each is called is asked of the browser itself.
CONTROLS = {"button", "link", "textbox", "checkbox", "radio", "combobox", "DisclosureTriangle"}

# What can be reached with Tab, of a group of radio buttons the chosen one.
REACHABLE = """() => [...document.querySelectorAll(
  "a[href], button, input, select, summary, [tabindex='0']")].filter(e =>
    e.checkVisibility() && !e.disabled && (e.type !== "radio" || e.checked)).length"""

PLACE = "[...document.querySelectorAll('*')].indexOf(document.activeElement)"


def test_everything_has_a_name_and_is_reached(show, shown_images):
    page = show()
    page.set_input_files("#files", shown_images[:2])
    scored(page, 2)
    for number in range(2):
        page.click(f"#cards .card:nth-child({number + 1}) [data-slot=queue][aria-pressed=false]")
    session = page.context.new_cdp_session(page)
    for view in ("images", "review", "marks"):
        page.click(f"nav a[href='#{view}']")
        page.wait_for_selector(f"#{view}:not([hidden])")
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        known = [node for node in nodes if not node["ignored"]]
        nameless = [
            node
            for node in known
            if node["role"]["value"] in CONTROLS and not node.get("name", {}).get("value")
        ]
        assert nameless == []
        roles = {node["role"]["value"] for node in known}
        assert {"banner", "navigation", "main", "contentinfo", "heading", "status"} <= roles
        page.evaluate("document.activeElement.blur()")
        reached = set()
        for _ in range(100):
            page.keyboard.press("Tab")
            place = page.evaluate(PLACE)
            if place in reached:
                break
            if page.evaluate("document.activeElement === document.body"):
                continue  # past the end it begins anew
            reached.add(place)
            assert page.evaluate("document.activeElement.matches(':focus-visible')")
        assert len(reached) == page.evaluate(REACHABLE), view
    page.click("nav a[href='#review']")
    page.uncheck("#keys")
    page.keyboard.press("s")
    assert page.inner_text("#review-place").endswith("2 left to decide"), "keys can be turned off"


@pytest.mark.parametrize(("scheme", "width"), [("light", 320), ("dark", 320), ("light", 768)])
def test_it_fits_and_can_be_read(show, shown_images, scheme, width):
    page = show(scheme=scheme, width=width)
    page.set_input_files("#files", shown_images[2:3])
    scored(page, 1)
    if page.get_attribute("#cards [data-slot=queue]", "aria-pressed") == "false":
        page.click("#cards [data-slot=queue]")
    for view in ("images", "review", "marks"):
        page.click(f"nav a[href='#{view}']")
        page.wait_for_selector(f"#{view}:not([hidden])")
        if view == "review":
            page.keyboard.press("d")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(TOO_WIDE) == []
        low, seen = page.evaluate(LOW_CONTRAST)
        assert low == []
        assert {"h1", "h2", "p", "button", "kbd"} <= set(seen)


def test_a_token_is_asked_for_and_stays_in_the_tab(browser, tmp_path):
    token, model = tmp_path / "token", tmp_path / "m"
    token.write_text("0123456789abcdef-secret")
    token.chmod(0o600)
    model.write_bytes(b"")
    with running(model, tmp_path / "log", "--token-file", str(token), command=(FAKE,)) as service:
        context = browser.new_context()
        page, asked = context.new_page(), []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(service.address)
        page.fill("#token", "another-word")
        page.keyboard.press("Enter")
        page.wait_for_selector("#sign-in-error:not(:empty)")
        page.fill("#token", token.read_text())
        page.click("#sign-in .primary")
        page.wait_for_selector("#images:not([hidden])")
        assert page.evaluate("document.activeElement.id") == "images-title"
        page.set_input_files("#files", [{"name": "a.png", "mimeType": "", "buffer": png(9)}])
        scored(page, 1)
        assert "9.00" in page.inner_text("#cards .score")
        page.click("#cards [data-slot=queue]")
        page.click("nav a[href='#review']")
        page.wait_for_selector("#review:not([hidden])")
        assert page.is_visible("#no-store")
        assert not page.is_visible("[data-slot=good]")
        page.keyboard.press("g")  # does nothing where no marks are kept
        page.reload()
        page.wait_for_selector("#review:not([hidden])")
        assert page.evaluate("localStorage.length") == 0
        page.click("#sign-out")
        page.wait_for_selector("#sign-in:not([hidden])")
        assert page.evaluate("sessionStorage.length") == 0
        assert not [url for url in asked if "secret" in url or "another-word" in url]
        context.close()
