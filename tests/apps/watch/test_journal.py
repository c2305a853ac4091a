"""The log and its torn lines, damaged journals, and locks."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ahl._common.errors import ConfigurationError, DataError
from ahl.apps.watch.journal import Intent, Journal, ResultLog, Stage, held_alone

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


FULL = """
import resource, sys
from pathlib import Path
from ahl.apps.watch.journal import ResultLog

log = ResultLog(Path(sys.argv[1]))
log.append_once({"path": "a"})
resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))
try:
    log.append_once({"path": "b"})
except OSError:
    print("full")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits files as a full disk does")
def test_a_line_that_a_full_disk_cuts_is_an_error_and_written_anew(tmp_path):
    path = tmp_path / "log"
    command = [sys.executable, "-c", FULL, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "full\n"
    assert path.read_bytes().startswith(ONE)
    ResultLog(path).append_once({"path": "b"})
    assert path.read_bytes() == ONE + TWO


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


INTENT = Intent(
    source=Path("in/\udcff.png"),  # a name that is not UTF-8
    taken=Path("in/.ahl-0123456789abcdef.png"),
    wished=Path("ok/\udcff.png"),
    target=Path("ok/\udcff-2.png"),
    size=7,
    mtime_ns=-1,
    sha256="0" * 64,
    facts={"score": 0.1, "path": "in/\udcff.png", "anomalous": False, "verdict": "normal"},
    stage=Stage.COPIED,
    copy=Path("ok/.ahl-0123456789abcdef.part"),
)


@pytest.fixture
def journal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Journal(tmp_path / "moving.json", watched=Path("in"), goals=[Path("ok")])


@pytest.mark.parametrize("intent", [INTENT, replace(INTENT, stage=Stage.TAKEN, copy=None)])
def test_what_is_noted_is_read(intent, journal):
    journal.write(intent)
    assert journal.read() == intent
    journal.clear()
    assert journal.read() is None


@pytest.mark.parametrize(
    "planted",
    [
        {"size": -1},
        {"size": 7.5},
        {"sha256": "0" * 63},
        {"stage": "done"},
        {"source": None},
        {"target": "\0/a.png"},
        {"version": 2},
        {"facts": {"path": "in/a.png"}},
        {"facts": {"path": "in/a.png", "score": "1", "anomalous": True, "verdict": "normal"}},
        {"facts": {"path": "in/a.png", "score": 1, "anomalous": True, "verdict": "odd"}},
        {"facts": {"error": "damaged"}},
    ],
)
def test_an_intent_out_of_bounds_is_refused(planted, journal, tmp_path):
    journal.write(INTENT)
    values = json.loads((tmp_path / "moving.json").read_bytes())
    (tmp_path / "moving.json").write_text(json.dumps(values | planted))
    with pytest.raises(DataError, match=r"then remove .*moving\.json"):
        journal.read()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe\x00",
        b"null",
        b"[" * 100_000,
        b'{"facts": ' * 100_000,
        b'{"size": NaN}',
        b'{"size": 1e999}',
        b'{"size": -Infinity}',
        b'{"size": 1' + b"0" * 5000 + b"}",
    ],
)
def test_a_journal_of_anything_is_refused_in_a_sentence(text, journal, tmp_path):
    (tmp_path / "moving.json").write_bytes(text)
    with pytest.raises(DataError, match=r"is damaged or of another version .*moving\.json"):
        journal.read()


def test_what_a_killed_writer_of_the_journal_left_goes(tmp_path):
    torn = tmp_path / "state" / ".moving.json.1-ab.part"
    torn.parent.mkdir()
    torn.write_text("{")
    assert Journal(tmp_path / "state" / "moving.json", watched=tmp_path, goals=()).read() is None
    assert not torn.exists()


def test_a_lock_is_held_by_one(tmp_path):
    lock = tmp_path / "state" / "lock"
    with (
        held_alone(lock, "in"),
        pytest.raises(DataError, match="running on in"),
        held_alone(lock, "in"),
    ):
        raise AssertionError
    with held_alone(lock, "in"):
        pass


def refused(lock):
    with pytest.raises(DataError, match="running on in"), held_alone(lock, "in"):
        raise AssertionError


def test_a_lock_is_kept_when_its_folder_is_removed_and_made_again(tmp_path):
    lock = tmp_path / "in" / "state" / "lock"
    with held_alone(lock, "in") as keep:
        keep()
        for made_again in (False, True):
            shutil.rmtree(lock.parent)
            if made_again:
                lock.parent.mkdir()
            keep()
            refused(lock)
        shutil.rmtree(tmp_path / "in")
        with pytest.raises(FileNotFoundError):
            keep()
        assert not lock.parent.parent.exists(), "a folder that is gone stays gone"
        with held_alone(lock, "in"), pytest.raises(DataError, match="running on in"):
            keep()
        keep()
        refused(lock)
    with held_alone(lock, "in"):
        pass
