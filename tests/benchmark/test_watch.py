"""Time and memory of a block. Nothing here depends on how fast the machine is."""

import threading
import time

import numpy as np
import psutil
import pytest

from ahl.benchmark import measure as watch_module
from ahl.benchmark.measure import INTERVAL, Watch

MEBIBYTES = 200
PATIENCE = 60.0
"""Seconds after which a watch that notices nothing is taken for broken."""


def resident():
    return psutil.Process().memory_info().rss / 2**20


def allocate():
    """Memory that is really there: every page is written."""
    return np.ones(MEBIBYTES * 2**20, dtype=np.uint8)


def test_the_seconds_are_those_of_the_block():
    watch = Watch()
    assert watch.seconds == 0.0
    with watch:
        time.sleep(0.1)
        inside = watch.seconds
    time.sleep(0.3)
    assert inside == 0.0, "known after the block"
    assert watch.seconds >= 0.1
    with Watch() as longer:
        time.sleep(watch.seconds + 0.1)
    assert longer.seconds > watch.seconds


def test_memory_held_at_the_end_is_in_the_peak(monkeypatch):
    """Even if nobody has looked in between."""
    monkeypatch.setattr(watch_module, "INTERVAL", 3600.0)
    before = resident()
    with Watch() as watch:
        held = allocate()
    assert watch.peak_mebibytes > before + 0.9 * MEBIBYTES
    assert watch.peak_mebibytes < psutil.virtual_memory().total / 2**20
    assert held[-1] == 1


def test_memory_freed_within_the_block_is_in_the_peak():
    before = resident()
    limit = time.monotonic() + PATIENCE
    with Watch() as watch:
        held = allocate()
        while watch.peak_mebibytes < before + 0.9 * MEBIBYTES:
            assert time.monotonic() < limit, "nobody looked"
            time.sleep(INTERVAL)
        assert held[-1] == 1
        del held
    assert resident() < before + 0.5 * MEBIBYTES, "the memory is gone again"
    assert watch.peak_mebibytes > before + 0.9 * MEBIBYTES


def test_a_block_that_holds_little_has_the_peak_of_its_process():
    before = resident()
    with Watch() as watch:
        pass
    assert before - 20 < watch.peak_mebibytes < before + 0.5 * MEBIBYTES


def test_an_error_passes_and_nobody_goes_on_looking():
    running, during = threading.active_count(), []
    watch = Watch()

    def fail():
        with watch:
            during.append(threading.active_count())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert during == [running + 1]
    assert threading.active_count() == running
    assert watch.seconds > 0
    assert watch.peak_mebibytes > 0
