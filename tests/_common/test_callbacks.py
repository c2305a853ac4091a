"""Parts of the work and how long they took."""

import time

import pytest

from ahl._common.callbacks import Callback, PatientCallback
from ahl._common.history import EpochRecord


class Listener(Callback):
    def __init__(self):
        self.told = []

    def on_time(self, part, seconds):
        self.told.append((part, seconds))


def test_a_part_within_another_is_told_first_and_not_counted_twice():
    listener = Listener()
    started = time.perf_counter()
    with listener.part("outer"):
        with listener.part("inner"):
            time.sleep(0.02)
        time.sleep(0.01)
    whole = time.perf_counter() - started
    (inner, inner_seconds), (outer, outer_seconds) = listener.told
    assert (inner, outer) == (("outer", "inner"), ("outer",))
    assert inner_seconds >= 0.02
    assert outer_seconds >= 0.01
    assert inner_seconds + outer_seconds <= whole


def test_a_part_that_fails_is_told_and_left():
    listener = Listener()
    with pytest.raises(ValueError, match="no"), listener.part("a"):
        raise ValueError("no")
    with listener.part("b"):
        pass
    assert [part for part, _ in listener.told] == [("a",), ("b",)]


def test_nobody_need_listen():
    with Callback().part("a"):
        pass


class Runs(Callback):
    def __init__(self):
        self.told = []

    def on_start(self, facts):
        self.told.append(facts)

    def on_end(self, error):
        self.told.append(error)


def test_a_run_within_another_is_part_of_it():
    listener = Runs()
    for _ in range(2):
        with listener.run({"outer": 1}), listener.run({"inner": 2}):
            pass
    assert listener.told == [{"outer": 1}, None, {"outer": 1}, None]


def test_a_run_that_fails_is_told_so_and_the_next_one_begins():
    listener, error = Runs(), ValueError("no")
    with pytest.raises(ValueError, match="no"), listener.run({}), listener.run({}):
        raise error
    with listener.run({}):
        pass
    assert listener.told == [{}, error, {}, None]


def test_a_long_run_is_not_silent_and_a_short_one_is(capfd):
    now = [0.0]
    patient = PatientCallback(clock=lambda: now[0])
    patient.on_stage("features", 0, 90)
    for done in range(1, 91):
        now[0] += 0.5
        patient.on_stage("features", done, 90)
    assert capfd.readouterr().err.splitlines() == [
        "ahl: features: 30/90 (verbose=0 prints nothing)",
        "ahl: features: 60/90",
        "ahl: features: 90/90",
    ]
    now[0] += PatientCallback.EVERY
    for epoch in (3, 4):
        one = {"support_losses": (0.5,), "query_losses": (), "importance": (1.0,)}
        patient.on_epoch(EpochRecord(epoch=epoch, **one), 30)
    assert capfd.readouterr().err == "ahl: training, epochs: 3/30\n"
