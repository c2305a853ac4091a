"""The loop: what goes where, when, and what of a failing system."""

import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from fake_scorer import FakeScorer, run
from PIL import Image

from ahl._common.errors import ConfigurationError, DataError
from ahl.apps.watch.watcher import Destinations
from ahl.scoring.prediction import Prediction


def test_every_verdict_has_its_folder(site):
    (site.folder / "x").mkdir()
    for name, content in (
        ("x/a.png", "normal 1."),
        ("b.png", "anomalous 2."),
        ("c.png", "unsure 3."),
        ("d.png", "half"),
        ("e.txt", "normal 4."),
    ):
        (site.folder / name).write_text(content)
    watcher = site.watcher(settle=2.0)
    watcher.run_once()
    root = site.folder.parent
    assert {path.removeprefix(f"{root}/") for path in site.moved()} == {
        "ok/x/a.png",
        "reject/b.png",
        "uncertain/c.png",
        "reject/unreadable/d.png",
    }
    assert watcher.counts == {"ok": 1, "reject": 1, "uncertain": 1, "unreadable": 1}
    assert list(site.waiting().values()) == ["normal 4."]
    assert site.told == [{k: v for k, v in line.items() if k != "event"} for line in site.lines()]
    found = {os.path.basename(line["path"]): line for line in site.lines()}  # noqa: PTH119
    assert found["b.png"] | {"time": 0, "sha256": 0} == {
        "event": "moved",
        "time": 0,
        "model": FakeScorer.card.sha256,
        "score": 2.0,
        "probability": 0.5,
        "anomalous": True,
        "verdict": "anomalous",
        "path": str(site.folder / "b.png"),
        "sha256": 0,
        "moved_to": str(root / "reject" / "b.png"),
    }
    assert found["d.png"]["error"] == "it is damaged or truncated"
    assert site.clock.now == pytest.approx(10, abs=2), "patience is 10 s here"


def test_without_a_folder_for_them_uncertain_ones_go_by_their_side(site):
    given = replace(site.destinations, uncertain=None)
    near = Prediction(index=0, score=1.0, anomalous=False, verdict="uncertain")
    assert given.of(near) == site.destinations.ok
    assert given.of(replace(near, anomalous=True)) == site.destinations.reject
    assert site.destinations.of(near) == site.destinations.uncertain
    (site.folder / "a.png").write_text("unsure 1.")
    watcher = site.watcher(destinations=given)
    watcher.run_once()
    assert watcher.counts == {"reject": 1}


def test_a_slow_writer_is_waited_for(site):
    path, content = site.folder / "a.png", "anomalous 12345."

    def piece(end):
        return lambda: path.write_text(content[:end])

    scorer = FakeScorer()
    watcher = site.watcher(scorer=scorer, settle=2.0, patience=20.0, poll=1.0)
    # Waits are slices of 0.2 s: a piece comes every 1.2 s, but for one pause of 6 s.
    rest = [lambda: None] * 5
    pieces = [piece(1), *rest, piece(9), *rest * 6, piece(12), *rest, piece(16)]
    run(watcher, site, *pieces, *rest * 4)
    assert scorer.asked == ["a.png", "a.png"], "once in the pause, in vain, and once whole"
    assert list(site.moved().values()) == [content]
    assert len(site.lines()) == 1


def test_files_are_taken_up_while_it_runs_and_it_stops_behind_the_current_one(site):
    watcher = site.watcher()
    seen = []

    def on_moved(line):
        seen.append(line)
        if len(seen) == 3:
            watcher.stop()

    watcher._on_moved = on_moved
    for number in range(2):
        (site.folder / f"{number}.png").write_text("normal 1.")

    def more():
        for number in range(5):
            (site.folder / f"{number}.png").write_text("normal 1.")

    site.clock.between = [more]
    watcher.run()
    assert len(seen) == len(site.lines()) == len(site.moved()) == 3
    assert len(site.waiting()) == 4


def test_what_is_still_written_stays_for_the_next_call(site):
    whole, growing = site.folder / "a.png", site.folder / "b.png"
    whole.write_text("normal 1.")
    with growing.open("w") as writer:

        def grow():
            writer.write("normal 1")
            writer.flush()
            site.clock.between.append(grow)

        site.clock.between = [grow]
        site.watcher(settle=2.0).run_once()
        assert [name.removeprefix(f"{site.folder}/") for name in site.waiting()] == ["b.png"]


def test_a_share_that_fails_is_told_once_and_tried_again(site):
    (site.folder / "a.png").write_text("normal 1.")
    watcher, away = site.watcher(), site.folder.with_name("away")
    site.folder.rename(away)
    run(
        watcher, site, *[lambda: None] * 120, lambda: away.rename(site.folder), *[lambda: None] * 60
    )
    assert len(site.warned) == 1
    assert "Trying again" in site.warned[0]
    assert watcher.counts == {"ok": 1}


def test_what_a_kill_left_is_ended_first(site):
    class KilledError(Exception):
        pass

    def at(step):
        if step == "placed":
            raise KilledError

    (site.folder / "a.png").write_text("normal 1.")
    with pytest.raises(KilledError):
        site.watcher(at=at).run_once()
    assert not site.lines()
    watcher = site.watcher()
    run(watcher, site)
    assert watcher.counts == {"ok": 1}
    assert len(site.lines()) == len(site.moved()) == len(site.told) == 1


def test_nothing_is_moved_once_somebody_else_has_the_lock(site):
    def lost():
        raise DataError("somebody else")

    (site.folder / "a.png").write_text("normal 1.")
    watcher = site.watcher(keep_lock=lost)
    with pytest.raises(DataError):
        watcher.run()
    with pytest.raises(DataError):
        watcher._sweep()
    assert site.waiting()
    assert not site.lines()


def test_once_a_share_that_fails_is_an_error(site):
    watcher = site.watcher()
    site.folder.rename(site.folder.with_name("away"))
    with pytest.raises(FileNotFoundError):
        watcher.run_once()


def test_a_model_without_a_threshold_is_refused(site):
    scorer = FakeScorer()
    scorer.card = SimpleNamespace(decision=None)
    with pytest.raises(DataError, match="ahl threshold"):
        site.watcher(scorer=scorer)


def test_folders_that_cannot_work_are_refused(tmp_path):
    (tmp_path / "file").touch()
    watched = tmp_path / "in"
    watched.mkdir()
    names = {"ok": "ok", "reject": "reject", "uncertain": "uncertain", "unreadable": "unreadable"}
    Destinations(**{key: tmp_path / name for key, name in names.items()}).check(watched)
    for change, message in (
        ({"ok": "x/../in"}, "watched folder itself"),
        ({"uncertain": "file"}, "is a file"),
        ({"ok": "reject"}, "the same folder"),
    ):
        folders = {key: tmp_path / name for key, name in (names | change).items()}
        with pytest.raises(ConfigurationError, match=message):
            Destinations(**folders).check(watched)


def test_it_needs_no_torch():
    script = "import sys; sys.modules['torch'] = None\nimport ahl.apps.cli, ahl.apps.watch.watcher"
    script += "\nimport ahl.apps.watch.mover, ahl.apps.watch.journal, filelock"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_two_images_never_share_a_picture(site, tmp_path):
    """Not of one name in two folders, nor of one that a file had that was taken away since."""
    maps = tmp_path / "maps"
    heat = np.zeros((4, 4), dtype=np.float32)
    found = Prediction(index=0, score=1.0, heat_map=heat, anomalous=False, verdict="normal")
    scorer = FakeScorer()
    scorer.predict = lambda images, **_: (replace(found, index=i) for i in range(len(images)))
    drawn = {}
    for _ in range(2):
        for place in ("x", "y/x"):
            path = site.folder / place / "a.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 4, 3), 40 * len(drawn), dtype=np.uint8)).save(path)
            site.watcher(scorer=scorer, heat_maps=maps).run_once()
            drawn |= {one.name: drawn.get(one.name, one.read_bytes()) for one in maps.iterdir()}
            (site.destinations.ok / place / "a.png").unlink()
    assert site.warned == []
    assert sorted(drawn) == [
        *("ok__x__a.png-2.png", "ok__x__a.png.png"),
        *("ok__y__x__a.png-2.png", "ok__y__x__a.png.png"),
    ]
    assert drawn == {one.name: one.read_bytes() for one in maps.iterdir()}
    assert len(set(drawn.values())) == 4


def test_a_picture_that_cannot_be_drawn_is_told_and_nothing_waits(site):
    """The files here are no images: a moved file that somebody took away is the same to it."""
    (site.folder / "a.png").write_text("anomalous 1.")
    (site.folder / "b.png").write_text("normal 1.")
    scorer = FakeScorer()
    heat = np.zeros((4, 4), dtype=np.float32)
    plain = scorer.predict

    def with_heat(images, *, heat_maps=False, nearest=False):
        assert heat_maps
        return (replace(one, heat_map=heat) for one in plain(images))

    scorer.predict = with_heat
    watcher = site.watcher(scorer=scorer, heat_maps=site.folder.parent / "maps")
    watcher.run_once()
    assert watcher.counts == {"reject": 1, "ok": 1}
    assert [one.split(":")[0] for one in site.warned] == [
        f"No heat map of {site.destinations.reject / 'a.png'}",
        f"No heat map of {site.destinations.ok / 'b.png'}",
    ]
