"""The page in headless Chromium: clicked through, and by keyboard alone."""

import base64
import json

import numpy as np
import pytest
from paging import scored, tab_to

from ahl.pipeline.feedback.answers import read_answers
from ahl.scoring.overlay import BLUE, RED
from ahl.scoring.places import Colouring
from browsing import CHROMIUM
from commands import run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

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


def test_drop_look_sort_and_filter(show, shown_images):
    page, images = show(), shown_images
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
    assert "strongest at the" in page.inner_text("#closer figcaption >> nth=0")
    page.keyboard.press("Escape")
    assert not page.is_visible("#closer")
    assert card.locator(".look").evaluate("look => look === document.activeElement")
    page.click("#clear")
    page.wait_for_selector("#cards .card", state="detached")
    assert show.refused == [422]


def test_the_review_by_keyboard_alone(show, shown_images, page_service):
    page, images = show(), shown_images
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
    marks = {mark.name: mark for mark in read_answers(page_service.marks)}
    assert {name: mark.class_name for name, mark in marks.items()} == {
        order[0]: "faint dsgh",
        order[1]: "good",
        order[3]: "good",
    }
    for path in (images[0], images[1], images[3]):
        assert (page_service.marks / marks[path.name].file).read_bytes() == path.read_bytes()
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "nav a[href='#marks']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#teach:not([hidden])")
    command = page.inner_text("#command").split()
    assert command[:2] == ["ahl", "update"]
    assert command[3:] == ["--feedback", str(page_service.marks)]
    assert page.locator("#marked li").count() == 3
    updated = page_service.marks.parent / "u.ahl"
    told = run("update", *command[2:], "-o", updated, "--force", "--json").stdout
    assert json.loads(told)["corrected"]
    tab_to(page, "#marked li:nth-child(1) button")
    page.keyboard.press("Enter")
    page.keyboard.press("d")
    page.keyboard.press("Escape")
    assert page.is_visible("#closer"), "only the question is closed"
    page.keyboard.press("g")  # a change of mind
    page.wait_for_selector("#closer .said:has-text('good')")
    (mark,) = (mark for mark in read_answers(page_service.marks) if mark.name == order[0])
    assert mark.class_name == "good"
    assert not (page_service.marks / "faint dsgh").exists()
    assert show.refused == [422]


@pytest.mark.parametrize(
    ("peak", "bounds"), [(0.9, (1, 4)), (1.5, (1, 4)), (2.2, (1, 4)), (9, (1, 4)), (9, None)]
)
def test_the_page_colours_a_heat_map_as_every_other_picture(show, peak, bounds):
    """Wider than high; the strongest place is always outlined."""
    heat = np.full((20, 40), 0.1, dtype=np.float32)
    heat[14:18, 30:36] = peak
    raw = {
        "shape": [20, 40],
        "data": base64.b64encode(heat.astype("<f4").tobytes()).decode("ascii"),
    }
    drawn = """async ([raw, bounds]) => {
      const {heatOf, drawHeat} = await import("/static/pictures.js");
      const heat = heatOf(raw, bounds), canvas = document.createElement("canvas");
      drawHeat(canvas, heat, 400, 200, 400);
      const at = (x, y) => [...canvas.getContext("2d").getImageData(x, y, 1, 1).data];
      return {colour: heat.colour, shares: [...heat.shares],
              rim: at(330, 141), away: at(100, 50)};
    }"""
    told = show().evaluate(drawn, [raw, bounds])
    colouring = Colouring.of(heat, bounds)
    assert tuple(told["colour"]) == (RED if colouring.by_model else BLUE)
    shares = 255 * colouring.shares(heat).ravel()
    np.testing.assert_allclose(told["shares"], shares, atol=0.51)
    assert told["away"][3] == 0
    assert told["rim"][3] == 255, "the line is drawn fully"
