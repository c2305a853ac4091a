"""Marked images are kept whole or not at all, by many writers, within bounds."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from ahl._common.errors import ConfigurationError, ImageError
from ahl.data.folders import open_dataset
from ahl.model.manifest import Manifest
from ahl.pipeline.feedback.answers import LOG, feedback_images, read_answers
from ahl.pipeline.feedback.store import FeedbackFullError, FeedbackStore
from ahl.scoring.prediction import Prediction
from small_images import small_image

PREDICTION = Prediction(index=0, score=1.5, anomalous=True, verdict="uncertain", probability=0.6)


def image(number=0, size=1000):
    return b"\x89PNG" + number.to_bytes(4, "big") + bytes(size - 8)


def add(store, data, class_name="good", name="a.png"):
    return store.add(data, name, class_name, PREDICTION, "cd" * 32)


def files(folder):
    """Images by the folder they lie in."""
    return sorted((path.parent.name, path.stem) for path in folder.glob("*/*"))


def test_a_mark_and_a_change_of_mind(tmp_path):
    store, data = FeedbackStore(tmp_path / "r", 10_000), image()
    name = sha256(data).hexdigest()
    first = add(store, data, "dot", "line\n3\udcff.png")
    assert first.file == f"dot/{name}.png"
    assert (first.score, first.verdict, first.outcome) == (1.5, "uncertain", "right")
    assert (store.folder / first.file).read_bytes() == data
    assert first.name == "line\n3?.png"
    second = add(store, data, "good")
    assert files(store.folder) == [("good", name)]
    assert not (store.folder / "dot").exists()
    assert store.answers() == read_answers(store.folder) == [second]
    assert (store.folder / LOG).read_text().count("\n") == 2


def test_the_folder_is_one_to_train_on(tmp_path):
    from PIL import Image

    store = FeedbackStore(tmp_path, 100_000)
    for number, class_name in enumerate(("good", "dot", "bar")):
        path = tmp_path.parent / f"{class_name}.png"
        Image.fromarray(small_image(class_name, number)).save(path)
        add(store, path.read_bytes(), class_name)
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("bar", "dot")
    assert len(dataset.train_normals) == 1


def test_hostile_kinds_and_contents_leave_nothing_behind(tmp_path):
    store = FeedbackStore(tmp_path / "r", 10_000)
    for kind in ("../x", "/etc", "..", ".", "", "a/b", "marks.jsonl", "good/", "Good", "con"):
        with pytest.raises(ConfigurationError):
            add(store, image(), kind)
    with pytest.raises(ImageError):
        add(store, b"#!/bin/sh")
    assert files(tmp_path) == [("r", ".lock"), ("r", "marks")]
    assert files(store.folder) == []


def test_the_limit_holds_whatever_many_writers_do(tmp_path):
    limit = 20_000
    stores = [FeedbackStore(tmp_path, limit) for _ in range(4)]

    def attempt(number):
        try:
            return add(stores[number % 4], image(number), "dot" if number % 3 else "good")
        except FeedbackFullError:
            return None

    with ThreadPoolExecutor(8) as pool:
        kept = [answer for answer in pool.map(attempt, range(60)) if answer]
    assert 5 < len(kept) < 20
    assert stores[0].size() <= limit
    assert sorted(answer.sha256 for answer in read_answers(tmp_path)) == sorted(
        m.sha256 for m in kept
    )
    assert len(files(tmp_path)) == len(kept)


def test_the_size_is_that_of_all_files_and_mostly_not_counted_anew(tmp_path, monkeypatch):
    store, other = FeedbackStore(tmp_path, 9_000), FeedbackStore(tmp_path, 9_000)

    def walked():
        return sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())

    add(store, image(0))
    with monkeypatch.context() as patch:
        patch.setattr(FeedbackStore, "_counted", lambda _: pytest.fail("it was known"))
        add(store, image(1), "dot")
        add(store, image(1), "bar")
        assert store.size() == walked()
    add(other, image(2))
    assert other.size() == store.size() == walked()
    with pytest.raises(FeedbackFullError):
        add(store, image(3, size=6_000))
    for path in tmp_path.glob("*/*"):
        path.unlink()
    add(store, image(3, size=6_000))
    assert store.size() == walked()


def test_the_same_image_by_many_at_once_lies_in_one_place(tmp_path):
    store = FeedbackStore(tmp_path, 100_000)
    kinds = ["dot", "bar", "good"] * 8
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda kind: add(store, image(), kind), kinds))
    (answer,) = read_answers(tmp_path)
    assert files(tmp_path) == [(answer.class_name, answer.sha256)]


def test_a_fault_of_the_log_leaves_the_answer_before_and_the_next_try_succeeds(
    tmp_path, monkeypatch
):
    def no_log(*_):
        raise OSError("no disk")

    store = FeedbackStore(tmp_path, 10_000)
    before = add(store, image(1), "dot")
    for data in (image(2), image(1)):  # a new image, and a change of mind
        with monkeypatch.context() as patch:
            patch.setattr(FeedbackStore, "_log", no_log)
            with pytest.raises(OSError, match="disk"):
                add(store, data, "good")
    assert read_answers(tmp_path) == [before]
    assert (tmp_path / before.file).read_bytes() == image(1)
    again = [add(store, image(2)), add(store, image(1))]
    assert read_answers(tmp_path) == again
    assert before.sha256 == again[1].sha256


def test_a_move_that_a_kill_prevented_is_made_up_for(tmp_path, monkeypatch):
    store = FeedbackStore(tmp_path, 10_000)
    add(store, image(1), "dot")
    with monkeypatch.context() as patch:
        patch.setattr(FeedbackStore, "_move", lambda *_: None)
        last = add(store, image(1), "good")
    assert files(tmp_path) == [("dot", last.sha256)]
    assert read_answers(tmp_path) == [last]
    (alarm,) = feedback_images(tmp_path, Manifest()).false_alarms
    assert alarm.source == tmp_path / "dot" / f"{last.sha256}.png"
    FeedbackStore(tmp_path, 10_000)
    assert files(tmp_path) == [("good", last.sha256)]
    assert read_answers(tmp_path) == [last]


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_store import add, image
from ahl.pipeline.feedback.store import FeedbackStore
store = FeedbackStore(Path(sys.argv[1]), 10**9)
for number in range(10**6):
    add(store, image(number, 200_000), ("good", "dot")[number % 2])
"""


def test_a_killed_writer_leaves_whole_answers(tmp_path):
    root = tmp_path / "r"
    tests = Path(__file__).parent
    command = [sys.executable, "-c", WRITER, str(root), str(tests)]
    process = subprocess.Popen(command, env={"PYTHONPATH": ":".join([*sys.path, str(tests)])})
    log = root / LOG
    while not (log.exists() and log.read_text().count("\n") > 20):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    with log.open("a") as file:
        file.write('{"cut": "off')
    (root / "dot" / ".x.png.1-2.part").write_bytes(b"half")
    store = FeedbackStore(root, 10**9)
    assert not list(root.rglob("*.part"))
    answer = add(store, image(10**6))
    answers = read_answers(root)
    assert len(answers) > 20
    assert answers[-1] == answer
    for one in answers:
        assert sha256((root / one.file).read_bytes()).hexdigest() == one.sha256


def test_folders_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        FeedbackStore(tmp_path / "file" / "r", 1000)
