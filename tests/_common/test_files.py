"""Files appear whole; what a killed writer left does not stay for ever."""

import os
import time

import pytest

from ahl._common import files
from ahl._common.errors import ConfigurationError
from ahl._common.files import claim_log, written_whole


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with written_whole(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    with pytest.raises(FileNotFoundError), written_whole(path):
        raise FileNotFoundError
    assert path.read_text() == "one"
    assert [one.name for one in path.parent.iterdir()] == ["a.txt"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with written_whole(tmp_path / "whole") as temporary:
        temporary.mkdir()
        (temporary / "a.txt").write_text("one")
        assert not (tmp_path / "whole").exists()

    def torn():
        with written_whole(tmp_path / "torn") as temporary:
            temporary.mkdir()
            (temporary / "a.txt").write_text("two")
            raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        torn()
    assert (tmp_path / "whole" / "a.txt").read_text() == "one"
    assert [one.name for one in tmp_path.iterdir()] == ["whole"]


def test_what_killed_writers_left_is_removed_a_day_later(tmp_path):
    names = {
        ".a.txt.77-0123abcd.part": -86_500,
        ".b.b.txt.1-00000000.part": -(10**7),
        ".a.txt.78-0123abcd.part": -80_000,  # perhaps still being written
        "a.txt.77-0123abcd.part": -(10**7),  # none of ours, as all that follow
        ".a.txt.part": -(10**7),
        ".a.txt.77-0123abcd.part.png": -(10**7),
    }
    for name, age in names.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() + age,) * 2)
    (tmp_path / ".folder.77-0123abcd.part").mkdir()
    os.utime(tmp_path / ".folder.77-0123abcd.part", (0, 0))
    files._sweep.cache_clear()
    with written_whole(tmp_path / "new.txt") as temporary:
        temporary.touch()
    left = {one.name for one in tmp_path.iterdir()}
    assert left == {*[*names][2:], ".folder.77-0123abcd.part", "new.txt"}


def test_a_log_is_made_or_gone_on_with_but_no_other_file_is(tmp_path):
    log, other = tmp_path / "deep" / "run.jsonl", tmp_path / "labels.csv"
    claim_log(log, b'{"event"', "a log")
    assert log.read_bytes() == b""
    log.write_bytes(b'{"event": 1}\n')
    claim_log(log, b'{"event"', "a log")
    other.write_bytes(b"name,label\n")
    with pytest.raises(ConfigurationError, match="exists and is not a log"):
        claim_log(other, b'{"event"', "a log")
    with pytest.raises(ConfigurationError, match="is a folder"):
        claim_log(tmp_path, b'{"event"', "a log")
    assert other.read_bytes() == b"name,label\n"
