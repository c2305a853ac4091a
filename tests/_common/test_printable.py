"""Names that could move a cursor are shown as they are."""

import pytest
from click.testing import CliRunner

from ahl._common.printable import printable
from ahl.apps.cli import main
from small_images import write_class


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("part 1.png", "part 1.png"),
        ("größe.png", "größe.png"),
        ("a\x1b[2Jb\n", "a\ufffd[2Jb\ufffd"),
        ("\udcff", "\ufffd"),
    ],
)
def test_control_characters_and_halves_are_replaced(words, shown):
    assert printable(words) == shown
    assert printable(words, "?") == shown.replace("\ufffd", "?")


def test_predictions_for_people_show_names_as_they_are(model, tmp_path):
    (path,) = write_class(tmp_path, "good", 1)
    hostile = path.with_name("a\x1b[2Jb.png")
    path.rename(hostile)
    shown = CliRunner().invoke(main, ["predict", str(model), str(hostile)]).output
    assert "\x1b" not in shown
    assert "a\ufffd[2Jb.png" in shown
