"""An output that cannot be written is refused before any work."""

import os

import pytest

from ahl._common.errors import DataError
from ahl.apps.cli.common import check_writable
from commands import run


@pytest.fixture
def file(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    return tmp_path / "file"


@pytest.mark.parametrize("verb", ["train", "adapt", "report", "threshold"])
def test_every_verb_that_works_long_looks_first(verb, model, inspection_folder, file, monkeypatch):
    def work(*given, **options):
        raise AssertionError("work was begun")

    monkeypatch.setattr("ahl.data.open_dataset", work)
    monkeypatch.setattr("ahl.data.images.finding.expand_paths", work)
    monkeypatch.setattr("ahl.model.trained.TrainedModel.load", work)
    output = file / "new" / ("r.html" if verb == "report" else "m.ahl")
    given = [inspection_folder] if verb == "train" else [model, inspection_folder]
    result = run(verb, *given, "-o", output, code=1)
    assert result.stderr == f"ahl: {output} cannot be written: {file} is not a folder.\n"


def test_what_can_be_written_is_let_through_and_nothing_is_made(tmp_path, file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (None, file, tmp_path / "a" / "b", file.relative_to(tmp_path)):
        check_writable(path)
    assert list(tmp_path.iterdir()) == [file]


def test_folders_and_what_may_not_be_written_to_are_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="is a folder"):
        check_writable(tmp_path)
    # Asked of the system, which root is never refused by.
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(DataError, match="no permission to write"):
        check_writable(tmp_path / "new" / "m.ahl")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="not a folder"):
        check_writable(tmp_path / "link" / "m.ahl")
