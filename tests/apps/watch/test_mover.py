"""Each file once, whatever happens between two steps: kills, people, cameras, changed minds."""

import contextlib
import errno
import hashlib
import json
import os
import tempfile
from pathlib import Path

import pytest
from fake_scorer import WORDS, FakeScorer, Killed, Site, files_of, killed_at
from hypothesis import given, settings
from hypothesis import strategies as st

from ahl._common.errors import DataError, ImageError
from ahl.apps.watch import mover, new_names
from ahl.apps.watch.mover import ChangedError

RENAMES = {
    "at once": {},
    "links": {"_kernels_rename": lambda: None},
    "neither": {"_kernels_rename": lambda: None, "_linked": lambda source, target: False},
}


def copying(source, target):
    """As if the watched folder lay on a file system of its own."""
    if "in" in source.parts and "in" not in target.parts:
        raise OSError(errno.EXDEV, "")
    new_names.rename_new(source, target)


def sha256_of(text):
    return hashlib.sha256(text.encode()).hexdigest()


ACTION = st.one_of(
    st.tuples(st.just("watch"), st.integers(1, 25)),
    st.tuples(st.just("camera"), st.sampled_from(["a.png", "b.png", "x/a.png"])),
    st.tuples(st.just("consumer"), st.just("")),
    st.tuples(st.just("namesake"), st.sampled_from(["ok/a.png", "reject/a-2.png", "ok/x/a.png"])),
)


@settings(max_examples=60)
@given(
    actions=st.lists(ACTION, max_size=12),
    way=st.sampled_from(sorted(RENAMES)),
    copied=st.booleans(),
)
def test_whatever_comes_between(actions, way, copied):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(os, "fsync", lambda descriptor: None)  # nobody pulls the plug here
        for name, replacement in RENAMES[way].items():
            patch.setattr(new_names, name, replacement)
        if copied:
            patch.setattr(mover, "rename_new", copying)
        site, written, others, taken = Site(Path(folder)), [], [], []
        places = set()
        site.folder.joinpath("x").mkdir()
        for action, detail in actions:
            if action == "watch":
                with contextlib.suppress(Killed):
                    site.watcher(at=killed_at(detail)).run_once()
            elif action == "camera" and not (path := site.folder / detail).exists():
                written.append(f"{WORDS[len(written) % 3]} {len(written)}.")
                path.write_text(written[-1])
            elif action == "consumer":
                for path, content in site.moved().items():
                    if not Path(path).name.startswith("."):
                        taken.append(content)
                        places.add((path, sha256_of(content)))
                        Path(path).unlink()
            elif action == "namesake" and not (path := Path(folder) / detail).exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                others.append(f"somebody's {len(others)}")
                path.write_text(others[-1])
        site.watcher().run_once()
        assert not site.waiting()
        assert sorted([*taken, *site.moved().values()]) == sorted(written + others)
        assert len(site.lines()) == len(written)
        assert len({line["sha256"] for line in site.lines()}) == len(written)
        places |= {(path, sha256_of(content)) for path, content in site.moved().items()}
        assert {(line["moved_to"], line["sha256"]) for line in site.lines()} <= places
        assert not (site.folder / ".ahl-watch" / "moving.json").exists()


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    (site.folder / "a.png").write_text("normal 1.")
    return site


def test_a_namesake_gets_a_number(site):
    site.watcher().run_once()
    for number in (2, 3):
        (site.folder / "a.png").write_text(f"normal {number}.")
        site.watcher().run_once()
    moved = {Path(path).name: content for path, content in site.moved().items()}
    assert moved == {"a.png": "normal 1.", "a-2.png": "normal 2.", "a-3.png": "normal 3."}
    assert [line["moved_to"] for line in site.lines()] == [
        str(site.destinations.ok / name) for name in ("a.png", "a-2.png", "a-3.png")
    ]


def test_a_file_that_changes_while_it_is_scored_is_not_touched(site, monkeypatch):
    monkeypatch.setattr(mover, "rename_new", lambda *_: pytest.fail("it was renamed"))
    scorer = FakeScorer(lambda path: path.write_text("normal 22."))
    site.watcher(scorer=scorer).run_once()
    assert list(site.waiting().values()) == ["normal 22."]


def test_a_file_that_changes_while_it_is_scored_is_scored_again(site):
    later = ["anomalous 22.", "anomalous 333."]
    scorer = FakeScorer(lambda path: later and path.write_text(later.pop(0)))
    for _ in range(2):
        site.watcher(scorer=scorer).run_once()
        assert not site.moved(), "what was scored is there no more"
    site.watcher(scorer=scorer).run_once()
    (line,) = site.lines()
    assert (line["verdict"], line["score"]) == ("anomalous", 4.0)
    assert list(site.moved().values()) == ["anomalous 333."]


@pytest.mark.parametrize("call", [1, 2])
def test_a_kill_between_a_link_and_the_removal_of_the_old_name(site, call, monkeypatch):
    """Of the hidden name, or of the final one."""
    monkeypatch.setattr(new_names, "_kernels_rename", lambda: None)
    linked, calls = new_names._linked, []

    def killed(source, target):
        calls.append(linked(source, target))
        if len(calls) == call:
            raise Killed
        return calls[-1]

    monkeypatch.setattr(new_names, "_linked", killed)
    with pytest.raises(Killed):
        site.watcher().run_once()
    site.watcher().run_once()
    assert list(site.moved().values()) == ["normal 1."]
    assert not site.waiting()
    assert len(site.lines()) == 1


def test_a_namesake_that_comes_first_is_told_from_the_file_after_a_kill(site):
    steps = []

    def at(step):
        steps.append(step)
        if steps[-1] == "placed":
            raise Killed

    with pytest.raises(Killed):
        site.watcher(at=killed_at(2)).run_once()
    site.destinations.ok.mkdir()
    (site.destinations.ok / "a.png").write_text("somebody's")
    with pytest.raises(Killed):
        site.watcher(at=at).run_once()
    site.watcher().run_once()
    (line,) = site.lines()
    assert line["moved_to"] == str(site.destinations.ok / "a-2.png")
    assert sorted(site.moved().values()) == ["normal 1.", "somebody's"]


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("namesake", [False, True])
def test_what_is_written_to_at_the_last_moment_is_given_back(site, copied, namesake, monkeypatch):
    """By somebody who had it open, where the system does not tell."""
    if copied:
        monkeypatch.setattr(mover, "rename_new", copying)
    steps = []

    def at(step):
        steps.append(step)
        if steps.count("copying" if copied else "taken") == 1 and "written" not in steps:
            steps.append("written")
            (taken,) = site.folder.glob(".ahl-*.png")
            taken.write_text("normal 1, and more.")
            if namesake:
                (site.folder / "a.png").write_text("normal new.")

    site.watcher(at=at).run_once()
    assert not site.moved()
    assert not site.lines()
    assert not (site.folder / ".ahl-watch" / "moving.json").exists()
    contents = ["normal 1, and more."] + ["normal new."] * namesake
    assert sorted(site.waiting().values()) == contents
    site.watcher().run_once()
    assert sorted(site.moved().values()) == contents
    assert len(site.lines()) == len(contents)


def test_a_file_that_is_taken_away_first_is_nobodys_loss(site):
    for step in (1, 2):
        (site.folder / "a.png").write_text("normal 1.")
        with pytest.raises(Killed):
            site.watcher(at=killed_at(step)).run_once()
        if step == 1:
            (site.folder / "a.png").unlink()
            site.watcher().run_once()
            assert not site.lines()
    site.watcher().run_once()
    assert len(site.lines()) == 1


def test_a_folder_that_may_not_be_changed_leaves_its_files(site, monkeypatch):
    def refused(source, target):
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(mover, "rename_new", refused)
    watcher = site.watcher()
    watcher.run_once()
    assert watcher.counts == {"left in place": 1}
    assert "no permission to remove it" in site.warned[0]
    assert site.waiting()
    assert not site.lines()
    assert not (site.folder / ".ahl-watch" / "moving.json").exists()


def test_a_full_disk_leaves_nothing_half(site, monkeypatch):
    monkeypatch.setattr(mover, "rename_new", copying)
    copystat = mover.shutil.copystat

    def full(*_):
        monkeypatch.setattr(mover.shutil, "copystat", copystat)
        raise MemoryError

    monkeypatch.setattr(mover.shutil, "copystat", full)
    with pytest.raises(MemoryError):
        site.watcher().run_once()
    assert not site.lines()
    site.watcher().run_once()
    assert list(site.moved().values()) == ["normal 1."]
    assert len(site.lines()) == 1
    assert [line["path"] for line in site.told] == [str(site.folder / "a.png")]


def test_a_damaged_journal_is_one_clear_line(site):
    journal = site.folder / ".ahl-watch" / "moving.json"
    journal.parent.mkdir()
    for content in ("", "[]", "{}", '{"version": 2}', "\x00"):
        journal.write_text(content)
        with pytest.raises(DataError, match="then remove"):
            site.watcher().run_once()
    assert site.waiting()


@pytest.mark.parametrize(
    "planted",
    [
        {"taken": "{root}/secret.png"},  # an arbitrary file would be fetched
        {"taken": "{root}/in/../.ahl-0123456789abcdef.png"},
        {"taken": "{root}/in/link/.ahl-0123456789abcdef.png", "source": "{root}/in/link/a.png"},
        {"target": "{root}/bin/ls", "wished": "{root}/bin/ls"},  # or be put anywhere
        {"target": "{root}/ok/../bin/ls"},
        {"source": "{root}/bin/ls"},
        {"copy": "{root}/secret.png", "stage": "copied"},
        {"copy": "{root}/ok/b.png", "stage": "copied"},
    ],
)
def test_a_planted_journal_moves_nothing(site, tmp_path, planted):
    with pytest.raises(Killed):
        site.watcher(at=killed_at(3)).run_once()  # taken, and noted
    (site.folder / "link").symlink_to(tmp_path)
    (tmp_path / ".ahl-0123456789abcdef.png").write_text("secret")
    (tmp_path / "secret.png").write_text("secret")
    site.destinations.ok.mkdir(exist_ok=True)
    (site.destinations.ok / "b.png").write_text("mine")
    journal = site.folder / ".ahl-watch" / "moving.json"
    noted = journal.read_text()
    before = files_of(tmp_path, but=".ahl-watch")
    changed = {name: value.format(root=tmp_path) for name, value in planted.items()}
    journal.write_text(json.dumps(json.loads(noted) | changed))
    with pytest.raises(DataError, match="not one of the folders given"):
        site.watcher().run_once()
    assert files_of(tmp_path, but=".ahl-watch") == before
    journal.write_text(noted)
    site.watcher().run_once()
    assert len(site.lines()) == 1


def test_what_cannot_be_opened_or_changed_is_told_apart(site):
    (arrival,) = site.watcher()._arrivals.look(0.0)
    moves = site.watcher()._mover
    (site.folder / "a.png").write_text("normal 22.")
    with pytest.raises(ChangedError):
        moves.move(arrival, site.destinations.ok, {})
    (site.folder / "a.png").unlink()
    with pytest.raises(ImageError, match="no such file"):
        moves.move(arrival, site.destinations.ok, {})
    assert files_of(site.destinations.ok) == {}
