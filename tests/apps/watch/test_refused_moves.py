"""A goal that never takes a file: it stays, whole, and holds up no other."""

import contextlib
import errno
import os
from pathlib import Path

import pytest
from fake_scorer import Killed, killed_at, run

from ahl.apps.watch import mover

REFUSALS = {
    "a file has the name of its folder": None,
    "the name is too long": errno.ENAMETOOLONG,
    "the name has letters that the goal has not": errno.EINVAL,
}


@pytest.fixture(params=REFUSALS)
def refusing(request, site, monkeypatch):
    """A goal that takes all files but `a.png/x.png`, which came before `b.png`."""
    site.destinations.ok.mkdir()
    (site.destinations.ok / "a.png").write_text("moved earlier")
    (site.folder / "a.png").mkdir()
    (site.folder / "a.png" / "x.png").write_text("normal 1.")
    os.utime(site.folder / "a.png" / "x.png", (1, 1))
    (site.folder / "b.png").write_text("normal 22.")
    if number := REFUSALS[request.param]:
        (site.destinations.ok / "a.png").unlink()
        rename = mover.rename_new

        def renamed(source, target):
            if target.name == "x.png" and target.is_relative_to(site.destinations.ok):
                raise OSError(number, os.strerror(number))
            rename(source, target)

        monkeypatch.setattr(mover, "rename_new", renamed)
    return site


def test_a_file_that_the_goal_never_takes_stays_and_holds_up_no_other(refusing):
    site = refusing
    watcher = site.watcher()
    run(watcher, site, *[lambda: None] * 30)
    assert watcher.counts == {"left in place": 1, "ok": 1}
    assert list(site.waiting().values()) == ["normal 1."]
    assert [Path(line["path"]).name for line in site.lines()] == ["b.png"]
    (warning,) = site.warned
    assert "x.png stays where it is: it cannot be moved to" in warning
    site.watcher().run_once()
    assert len(site.warned) == 2, "told again after a new start, and left again"
    (site.folder / "a.png" / "x.png").write_text("anomalous 333.")
    site.watcher().run_once()
    assert not site.waiting(), "another goal takes it"


@pytest.mark.parametrize("copied", [False, True])
def test_a_file_that_is_given_back_is_whole_wherever_a_kill_comes(refusing, copied, monkeypatch):
    site, rename = refusing, mover.rename_new

    def from_another_file_system(source, target):
        if source.is_relative_to(site.folder) and not target.is_relative_to(site.folder):
            raise OSError(errno.EXDEV, "")
        rename(source, target)

    if copied:
        monkeypatch.setattr(mover, "rename_new", from_another_file_system)
    before = sorted([*site.moved().values(), "normal 22."])
    for step in range(1, 20):
        with contextlib.suppress(Killed):
            site.watcher(at=killed_at(step)).run_once()
        site.watcher().run_once()
        assert list(site.waiting().values()) == ["normal 1."], step
        assert [Path(line["path"]).name for line in site.lines()] == ["b.png"], step
        assert sorted(site.moved().values()) == before, step
