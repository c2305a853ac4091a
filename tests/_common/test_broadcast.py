"""Several callbacks at once."""

import inspect
from pathlib import Path

import pytest

from ahl._common.callbacks import Broadcast, Callback
from ahl._common.history import EpochRecord
from ahl._common.types import Skipped

RECORD = EpochRecord(epoch=1, support_losses=(1.0,), query_losses=(), importance=(1.0,))
CALLS = {
    "on_start": ({"seed": 0},),
    "on_resumed": ([RECORD], 3),
    "on_stage": ("calibration", 0, 4),
    "on_epoch": (RECORD, 3),
    "on_skipped": (Skipped(name="a.png", reason="empty"),),
    "on_note": ("Resuming.",),
    "on_time": (("images",), 1.0),
    "on_saved": (Path("m.ahl"),),
    "on_end": (None,),
}


class Listener(Callback):
    """Hears everything; each kind of hook can fail."""

    def __init__(self, *failing):
        self.heard, self.failing = [], failing

    def __getattribute__(self, name):
        if not name.startswith("on_"):
            return super().__getattribute__(name)

        def hook(*arguments):
            self.heard.append((name, arguments))
            if name in self.failing:
                raise OSError(f"{name}: no space\nand more\n")

        return hook


def test_everybody_hears_every_hook():
    hooks = {name for name, _ in inspect.getmembers(Callback) if name.startswith("on_")}
    assert set(CALLS) == hooks, "a new hook has to be told on"
    watcher, log = Listener(), Listener()
    both = Broadcast(watcher, {"log": log})
    for name, arguments in CALLS.items():
        getattr(both, name)(*arguments)
    assert watcher.heard == log.heard == list(CALLS.items())


@pytest.mark.parametrize("hook", sorted(CALLS))
def test_a_log_that_fails_is_left_out_with_one_note(hook):
    watcher, broken, whole = Listener(), Listener(hook), Listener()
    both = Broadcast(watcher, {"--log x": broken, "other": whole})
    for _ in range(2):
        getattr(both, hook)(*CALLS[hook])
    said = f"--log x failed; the run continues without it: {hook}: no space"
    note = ("on_note", (said,))
    assert broken.heard == [(hook, CALLS[hook])]
    for other in (watcher, whole):
        assert other.heard == [note, (hook, CALLS[hook]), (hook, CALLS[hook])]


def test_two_logs_that_fail_at_once_are_told_of_once_each():
    watcher = Listener()
    logs = {name: Listener("on_epoch", "on_note") for name in ("a", "b")}
    Broadcast(watcher, logs).on_epoch(*CALLS["on_epoch"])
    notes = [arguments[0] for name, arguments in watcher.heard if name == "on_note"]
    assert sorted(note[0] for note in notes) == ["a", "b"]
    assert watcher.heard[-1] == ("on_epoch", CALLS["on_epoch"])


def test_what_the_watcher_raises_stops_the_run():
    log = Listener()
    with pytest.raises(OSError, match="no space"):
        Broadcast(Listener("on_epoch"), {"log": log}).on_epoch(*CALLS["on_epoch"])
    assert len(log.heard) == 1


def test_parts_and_runs_are_told_to_all():
    watcher, log = Listener(), Listener()
    both = Broadcast(watcher, {"log": log})
    with both.run({"seed": 0}), both.part("images"), both.part("decoding"):
        pass
    assert watcher.heard == log.heard
    assert [name for name, _ in log.heard] == ["on_start", "on_time", "on_time", "on_end"]
    assert log.heard[1][1][0] == ("images", "decoding")
