"""The log of results, and what is left of it by a kill."""

import pytest

from ahl._common.errors import ConfigurationError
from ahl.apps.watch.results import ResultLog

ONE = b'{"event": "moved", "path": "a"}\n'
TWO = b'{"event": "moved", "path": "b"}\n'


def test_every_append_is_a_line(tmp_path):
    log = ResultLog(tmp_path / "new" / "log")
    log.append_once({"path": "a"})
    log.append_once({"path": "b"})
    assert (tmp_path / "new" / "log").read_bytes() == ONE + TWO


@pytest.mark.parametrize("torn", range(len(TWO)))
def test_a_torn_line_is_written_anew(torn, tmp_path):
    path = tmp_path / "log"
    path.write_bytes(ONE + TWO[:torn])
    ResultLog(path).append_once({"path": "b"})
    assert path.read_bytes() == ONE + TWO


@pytest.mark.parametrize("length", [1, 4000, 4096, 9000])
def test_a_line_that_is_there_is_not_written_again(length, tmp_path):
    path = tmp_path / "log"
    for _ in range(2):
        log = ResultLog(path)
        log.append_once({"path": "x" * length})
        log.append_once({"path": "y" * length})
        log.append_once({"path": "y" * length})
        assert path.read_bytes().count(b"y" * length) == path.read_bytes().count(b"x" * length)


def test_a_log_that_was_moved_away_goes_on_in_a_new_file(tmp_path):
    log = ResultLog(tmp_path / "log")
    log.append_once({"path": "a"})
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.append_once({"path": "b"})
    assert (tmp_path / "log").read_bytes() == TWO


def test_no_other_file_is_appended_to(tmp_path):
    (tmp_path / "notes").write_text("mine\n")
    with pytest.raises(ConfigurationError, match="not a log of ahl watch"):
        ResultLog(tmp_path / "notes")
    with pytest.raises(ConfigurationError, match="is a folder"):
        ResultLog(tmp_path)
    assert (tmp_path / "notes").read_text() == "mine\n"


def test_no_log_is_no_file(tmp_path):
    ResultLog(None).append_once({"path": "a"})
    assert not list(tmp_path.iterdir())
