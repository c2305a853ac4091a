"""The examples run, and do what they say."""

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_ahl_in_one_page_finds_kinds_that_it_has_never_seen():
    page = runpy.run_path(str(EXAMPLES / "ahl_in_one_page.py"))
    found = page["main"](seed=0)
    assert found["AHL", "seen"] > 0.9
    assert found["AHL", "unseen"] > 0.85
