"""A run as JSON lines."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahl import AHL, RunSettings
from ahl._common.callbacks import Broadcast, Callback
from ahl._common.errors import ConfigurationError
from ahl._common.history import EpochRecord
from ahl._common.types import Skipped
from ahl.apps.logs import JsonLinesLog
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config

RECORD = EpochRecord(
    epoch=1, support_losses=(1.5, math.nan), query_losses=(2.0, math.inf), importance=(0.25, 0.75)
)


def lines(path):
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def without_time(path):
    return [{k: v for k, v in line.items() if k not in ("time", "seconds")} for line in lines(path)]


def test_every_event_is_a_line_at_once(tmp_path):
    path = tmp_path / "new" / "run.jsonl"
    log = JsonLinesLog(path)
    expected = []
    for tell, event in (
        (lambda: log.on_start({"seed": 3}), {"event": "start", "seed": 3}),
        (
            lambda: log.on_skipped(Skipped(name="\udce9.png", reason="truncated")),
            {"event": "skipped", "name": "\udce9.png", "reason": "truncated"},
        ),
        (lambda: log.on_note("a\nb"), {"event": "note", "text": "a\nb"}),
        (
            lambda: log.on_epoch(RECORD, 30),
            {
                "event": "epoch",
                "epoch": 1,
                "epochs": 30,
                "support_losses": [1.5, None],
                "query_losses": [2.0, None],
                "importance": [0.25, 0.75],
                "restored": False,
            },
        ),
        (lambda: log.on_saved(Path("m.ahl")), {"event": "saved", "model": "m.ahl"}),
        (lambda: log.on_end(None), {"event": "end"}),
    ):
        tell()
        expected.append(event)
        assert without_time(path) == expected
    assert all(line["time"].endswith("+00:00") for line in lines(path))


def test_failures_are_told_with_their_message(tmp_path):
    log = JsonLinesLog(tmp_path / "run.jsonl")
    with pytest.raises(ConfigurationError), log.run({}):
        raise ConfigurationError("There is no good/ in parts.")
    last = without_time(tmp_path / "run.jsonl")[-1]
    message = "There is no good/ in parts."
    assert last == {"event": "failed", "error": "ConfigurationError", "message": message}


def test_a_stage_is_told_by_tenths(tmp_path):
    log = JsonLinesLog(tmp_path / "run.jsonl")
    for done in range(241):
        log.on_stage("calibration", done, 240)
    log.on_stage("features", 0, 0)
    told = [(line["done"], line["total"]) for line in lines(tmp_path / "run.jsonl")]
    assert told == [*((24 * tenth, 240) for tenth in range(11)), (0, 0)]


def test_inner_parts_are_told_with_the_outermost(tmp_path):
    log = JsonLinesLog(tmp_path / "run.jsonl")
    for seconds in (1.0, 2.0):
        log.on_time(("images", "decoding"), seconds)
    log.on_time(("images", "pseudo", "backbone"), 4.0)
    log.on_time(("images",), 0.5)
    log.on_time(("calibration",), 0.25)
    images, calibration = lines(tmp_path / "run.jsonl")
    assert (images["part"], images["seconds"]) == ("images", 7.5)
    assert images["within"] == {"decoding": 3.0, "pseudo > backbone": 4.0}
    assert (calibration["seconds"], calibration["within"]) == (0.25, {})


@settings(max_examples=50)
@given(cut=st.integers(min_value=0, max_value=10_000), note=st.text(max_size=6000))
def test_whatever_a_kill_leaves_the_next_run_begins_on_a_new_line(tmp_path_factory, cut, note):
    path = tmp_path_factory.mktemp("log") / "run.jsonl"
    log = JsonLinesLog(path)
    with log.run({"seed": 0}):
        log.on_note(note)
    whole = path.read_bytes()
    kept = whole[: cut % (len(whole) + 1)]
    path.write_bytes(kept)
    JsonLinesLog(path).on_start({"seed": 1})
    found = lines(path)
    assert len(found) == kept.count(b"\n") + 1
    assert path.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    assert found[-1]["seed"] == 1


@pytest.mark.parametrize("content", [b"\n", b"label,path\n1,a.png", b'{"a": 1}\n', b"{\0"])
def test_other_files_are_left_alone(tmp_path, content):
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"labels\.csv exists and is not a log"):
        JsonLinesLog(path)
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        JsonLinesLog(tmp_path / "file" / "run.jsonl")


class StopAt(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch(self, record, epochs):
        if record.epoch == self.epoch:
            raise KeyboardInterrupt


def test_a_resumed_run_has_all_its_epochs_behind_its_start(tmp_path):
    path = tmp_path / "run.jsonl"

    def train(stop, *, resume=False):
        detector = AHL(
            backbone=TinyBackbone(),
            config=tiny_config(epochs=4),
            run=RunSettings(
                checkpoint=tmp_path / "c",
                resume=resume,
                callback=Broadcast(StopAt(stop), {"log": JsonLinesLog(path)}),
            ),
        )
        good = [small_image("good", i) for i in range(10)]
        return fit(detector, good, [small_image("dot", i) for i in range(3)])

    with pytest.raises(KeyboardInterrupt):
        train(2)
    with path.open("ab") as file:
        file.write(b'{"event": "epo')
    detector = train(None, resume=True)
    detector.save(tmp_path / "m.ahl")
    events = lines(path)
    starts = [i for i, line in enumerate(events) if line["event"] == "start"]
    assert events[starts[1] - 1]["error"] == "KeyboardInterrupt"
    first, second = (events[i] for i in starts)
    assert (first["resume"], second["resume"]) == (False, True)
    assert (second["heads"], second["backbone"]) == ("dra", {"name": "tiny"})
    assert second["config"]["learning"]["epochs"] == 4
    epochs = [line for line in events[starts[1] :] if line["event"] == "epoch"]
    assert [line["epoch"] for line in epochs] == [1, 2, 3, 4]
    assert [line["restored"] for line in epochs] == [True, True, False, False]
    for line, record in zip(epochs, detector.model_.history, strict=True):
        assert tuple(line["support_losses"]) == record.support_losses
        assert tuple(line["query_losses"]) == record.query_losses
        assert tuple(line["importance"]) == record.importance
    assert [line["event"] for line in events[-2:]] == ["end", "saved"]
