"""The page in headless Chromium: clicked through, and by keyboard alone."""

import base64
import json

import pytest
from fakes import png
from running import FAKE, running

from ahl.reviews.marks import read_marks
from browsing import CHROMIUM, FLAGS, LOW_CONTRAST, TOO_WIDE
from commands import run
from small_images import small_image, write_class

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

# Roles that a person operates; what each is called is asked of the browser itself.
CONTROLS = {"button", "link", "textbox", "checkbox", "radio", "combobox", "DisclosureTriangle"}

# What can be reached with Tab, of a group of radio buttons the chosen one.
REACHABLE = """() => [...document.querySelectorAll(
  "a[href], button, input, select, summary, [tabindex='0']")].filter(e =>
    e.checkVisibility() && !e.disabled && (e.type !== "radio" || e.checked)).length"""

PLACE = "[...document.querySelectorAll('*')].indexOf(document.activeElement)"

DROP = """([names, contents]) => {
  const transfer = new DataTransfer();
  names.forEach((name, i) => {
    const bytes = Uint8Array.from(atob(contents[i]), c => c.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  });
  for (const type of ["dragenter", "dragover", "drop"]) {
    document.getElementById("drop").dispatchEvent(
      new DragEvent(type, {dataTransfer: transfer, bubbles: true, cancelable: true}));
  }
}"""


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
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


@pytest.fixture(scope="module")
def service(model, tmp_path_factory):
    """The real one, with a threshold and a folder for marks."""
    folder = tmp_path_factory.mktemp("service")
    decided = folder / "m.ahl"
    run("threshold", model, "--max-false-alarm-rate", 0.1, "-o", decided)
    options = ("--review-dir", str(folder / "marks"))
    with running(decided, folder / "log", *options) as found:
        found.marks = folder / "marks"
        yield found


@pytest.fixture
def show(browser, service):
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
        own = (f"{service.address}/", "data:", "blob:")
        page.on("request", lambda r: None if r.url.startswith(own) else heard.append(r.url))
        page.goto(service.address)
        page.wait_for_selector("#images:not([hidden])")
        return page

    open_page.refused = refused
    yield open_page
    for context in contexts:
        context.close()
    # Of what is refused the browser says a line itself.
    assert [one for one in heard if not one.startswith("Failed to load resource")] == []
    assert len(heard) == len(refused)


def scored(page, count):
    """Wait until so many images are scored, and what was said of them aloud."""
    page.wait_for_selector(f"#cards .card:nth-child({count}) [data-slot=queue]:not([hidden])")
    page.wait_for_selector("#progress[hidden]", state="attached")
    page.wait_for_selector("#say:not(:empty)", state="attached")
    return page.inner_text("#say")


def test_drop_look_sort_and_filter(show, images):
    page = show()
    contents = [base64.b64encode(path.read_bytes()).decode() for path in images]
    page.evaluate(DROP, [[path.name for path in images], contents])
    said = scored(page, 4)
    assert said.startswith("4 images done: ")
    page.set_input_files("#files", [{"name": "x.png", "mimeType": "", "buffer": b"no image"}])
    page.wait_for_selector("#cards [data-slot=error]:not([hidden])")
    assert "not a PNG" in page.inner_text("#cards .card:has(.error:not([hidden]))")
    texts = page.locator("#cards .score").all_inner_texts()
    scores = [float(text.split()[-1]) for text in texts if text]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 4
    page.select_option("#sort", "added")
    names = page.locator("#cards .name").all_inner_texts()
    assert names == [*(path.name for path in images), "x.png"]
    verdicts = page.locator("#cards .badge").all_inner_texts()
    assert verdicts[2] in ("Anomalous", "Uncertain")
    card = page.locator("#cards .card").nth(2)
    assert "a defect" in card.inner_text() or "either" in card.inner_text()
    assert "Nearest defect" in card.inner_text()
    assert card.locator(".near img").evaluate_all("images => images.every(i => i.naturalWidth)")
    canvas = card.locator("canvas")
    assert canvas.is_visible()
    painted = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v)"
    assert canvas.evaluate(painted)
    page.click("#tools .switch")
    assert not canvas.is_visible()
    drawn = page.locator("#cards .card").nth(3).locator(".picture img")
    assert drawn.get_attribute("src").startswith("data:image/png"), "a TIFF, by the server"
    page.check("input[value=normal]")
    assert page.locator("#cards .badge:visible").all_inner_texts() == [
        v for v in verdicts if v == "Normal"
    ]
    page.check("input[value=all]")
    card.locator(".look").click()
    assert page.inner_text("#closer-title") == "part-2.png"
    assert "Stands out most" in page.inner_text("#closer figcaption >> nth=0")
    page.keyboard.press("Escape")
    assert not page.is_visible("#closer")
    assert card.locator(".look").evaluate("look => look === document.activeElement")
    page.click("#clear")
    assert page.locator("#cards .card").count() == 0
    assert show.refused == [422]


def tab_to(page, selector):
    """Press Tab until it has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.locator(selector).evaluate("e => e === document.activeElement"):
            return
    raise AssertionError(f"Tab does not lead to {selector}")


def test_the_review_by_keyboard_alone(show, images, service):
    page = show()
    page.set_input_files("#files", images)  # what a file dialogue would give
    scored(page, 4)
    for number in range(4):
        button = f"#cards .card:nth-child({number + 1}) [data-slot=queue]"
        if page.get_attribute(button, "aria-pressed") == "false":
            tab_to(page, button)
            page.keyboard.press("Enter")
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "nav a[href='#review']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#review-panel:not([hidden])")
    assert page.inner_text("#review-place") == "1 of 4, 4 left to decide"
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#review-place").startswith("2 of 4")
    page.keyboard.press("ArrowLeft")
    order = [path.name for path in images]
    assert page.inner_text("#review-panel .name") == order[0]
    heat = page.locator("#review-panel .heat-toggle")
    page.keyboard.press("h")
    assert not heat.is_checked()
    page.keyboard.press("d")
    page.keyboard.press("Escape")
    page.keyboard.press("D")
    page.keyboard.type("../faint")
    page.keyboard.press("Enter")
    page.wait_for_selector("#review-panel [data-slot=refused]:not(:empty)")
    assert "Name the kind" in page.inner_text("#review-panel [data-slot=refused]")
    page.keyboard.press("Control+a")
    page.keyboard.type("faint dsgh")  # these letters are keys elsewhere
    page.keyboard.press("Enter")
    page.wait_for_selector("#review-place:has-text('3 left')")
    assert page.inner_text("#review-panel .name") == order[1]
    page.keyboard.press("g")
    page.wait_for_selector("#review-place:has-text('2 left')")
    page.keyboard.press("s")
    page.wait_for_selector("#review-place:has-text('1 left')")
    page.wait_for_selector("#say:has-text('Skipped. ')", state="attached")
    page.keyboard.press("g")
    page.wait_for_selector("#review-empty:not([hidden])")
    assert "nothing is left" in page.inner_text("#review-empty")
    marks = {mark.name: mark for mark in read_marks(service.marks)}
    assert {name: mark.class_name for name, mark in marks.items()} == {
        order[0]: "faint dsgh",
        order[1]: "good",
        order[3]: "good",
    }
    for path in (images[0], images[1], images[3]):
        assert (service.marks / marks[path.name].file).read_bytes() == path.read_bytes()
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "nav a[href='#marks']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#teach:not([hidden])")
    command = page.inner_text("#command").split()
    assert command[:2] == ["ahl", "update"]
    assert command[3:] == ["--review", str(service.marks)]
    assert page.locator("#marked li").count() == 3
    updated = service.marks.parent / "u.ahl"
    told = run("update", *command[2:], "-o", updated, "--force", "--json").stdout
    assert json.loads(told)["corrected"]
    tab_to(page, "#marked li:nth-child(1) button")
    page.keyboard.press("Enter")
    page.keyboard.press("g")  # a change of mind
    page.wait_for_selector("#closer .said:has-text('good')")
    (mark,) = (mark for mark in read_marks(service.marks) if mark.name == order[0])
    assert mark.class_name == "good"
    assert not (service.marks / "faint dsgh").exists()
    assert show.refused == [422]


def test_everything_has_a_name_and_is_reached(show, images):
    page = show()
    page.set_input_files("#files", images[:2])
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
def test_it_fits_and_can_be_read(show, images, scheme, width):
    page = show(scheme=scheme, width=width)
    page.set_input_files("#files", images[2:3])
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
