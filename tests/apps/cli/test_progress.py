"""What people who wait are shown, on a terminal and in a file."""

import io
import re

import pytest
from rich.console import Console
from rich.progress import Progress

from ahl._common.history import EpochRecord
from ahl._common.types import Skipped
from ahl.apps.cli.progress import (
    QUIET_SECONDS,
    SHOWN_SKIPS,
    ConsoleCallback,
    _Times,
    losses_in_words,
    profile_rows,
    profile_table,
    profile_values,
)

TIMES = {
    ("reading",): 1.0,
    ("images", "decoding"): 2.0,
    ("images", "backbone"): 4.0,
    ("images",): 0.5,
    ("task", "pseudo", "backbone"): 8.0,
    ("task", "pseudo"): 0.25,
    ("task",): 0.25,
}


def record(epoch, models=3):
    return EpochRecord(
        epoch=epoch,
        support_losses=(0.5,) * models,
        query_losses=(0.25,) * models,
        importance=(1 / models,) * models,
    )


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def in_a_file(clock):
    file = io.StringIO()
    return file, ConsoleCallback(Console(file=file, highlight=False), clock)


def test_a_file_gets_a_line_a_stage_and_one_now_and_then():
    clock = Clock()
    file, callback = in_a_file(clock)
    with callback:
        callback.on_stage("features of normal images", 0, 0)
        for done in range(41):
            callback.on_stage("calibration", done, 40)
            clock.now += QUIET_SECONDS / 5
        callback.on_stage("calibration", 40, 40)
        callback.on_epoch(record(1), 30)
        clock.now += QUIET_SECONDS
        callback.on_epoch(record(2), 30)
    words = "support loss 0.500, query loss 0.250, w_i 0.33 0.33 0.33"
    left = {1: "1:10", 2: "1:00", 3: "0:50", 4: "0:40", 5: "0:30"}
    assert file.getvalue().splitlines() == [
        "0:00 features of normal images: cached",
        *(f"0:{10 * n} calibration: {5 * n}/40, about {left[n]} left" for n in range(1, 6)),
        *(
            f"1:{10 * n:02d} calibration: {5 * n + 30}/40, about 0:{20 - 10 * n} left"
            for n in (0, 1)
        ),
        "1:20 calibration: 40/40",
        f"1:32 training, epochs: 2/30, about 4:40 left, {words}",
    ]


@pytest.mark.parametrize("forced", [False, True])
def test_a_file_never_gets_control_characters(monkeypatch, forced):
    if forced:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
    file, callback = in_a_file(Clock())
    with callback:
        callback.on_stage("calibration", 0, 2)
        callback.on_stage("calibration", 2, 2)
        callback.on_note("[bold]no markup[/]" + "x" * 100)
        callback.on_epoch(record(3), 3)
    text = file.getvalue()
    assert re.sub(r"[\x20-\x7e\n]", "", text) == ""
    assert "[bold]no markup[/]" + "x" * 100 in text
    assert "3/3" in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_gets_bars_with_the_losses_below_them(width):
    file = Terminal()
    console = Console(file=file, force_terminal=True, width=width, _environ={"TERM": "xterm"})
    with ConsoleCallback(console) as callback:
        callback.on_stage("features of pseudo anomalies", 7, 7)
        callback.on_epoch(record(12, models=9), 30)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    last = plain[plain.rindex("features") :].replace("\r", "").splitlines()
    assert re.search(r"7/7 +in 0:00", last[0])
    assert re.search(r"training, epochs +━+.*12/30", last[1])
    assert last[2].startswith("  support loss 0.500, query loss 0.250, w_i 0.11")
    assert sum(line.count("0.11") for line in last) == 9
    assert max(map(len, last)) <= width


def test_what_is_skipped_is_counted_and_not_told_forever():
    file, callback = in_a_file(Clock())
    for number in range(SHOWN_SKIPS + 5):
        callback.on_skipped(Skipped(name=f"{number}.png", reason="[truncated]"))
    assert len(callback.skipped) == SHOWN_SKIPS + 5
    assert len(file.getvalue().splitlines()) == SHOWN_SKIPS
    assert "skipped 0.png: [truncated]" in file.getvalue()


def test_a_model_alone_has_one_loss():
    alone = EpochRecord(epoch=1, support_losses=(0.5,), query_losses=(), importance=(1.0,))
    assert losses_in_words(alone) == "loss 0.500"


def test_outer_parts_hold_their_inner_ones_and_come_before_them():
    assert profile_rows(TIMES, 20.0) == [
        (("reading",), 1.0),
        (("images",), 6.5),
        (("images", "decoding"), 2.0),
        (("images", "backbone"), 4.0),
        (("task",), 8.5),
        (("task", "pseudo"), 8.25),
        (("task", "pseudo", "backbone"), 8.0),
        (("everything else",), 4.0),
        (("total",), 20.0),
    ]


def test_branches_stay_together_in_whatever_order_they_are_told():
    times = {("a", "x"): 1.0, ("b",): 2.0, ("a", "y"): 4.0, ("a",): 8.0}
    paths = [path for path, _ in profile_rows(times, 20.0)]
    assert paths[:4] == [("a",), ("a", "x"), ("a", "y"), ("b",)]


def test_top_parts_add_up_to_the_total():
    rows = profile_rows(TIMES, 20.0)
    tops = [seconds for path, seconds in rows if len(path) == 1 and path != ("total",)]
    assert sum(tops) == pytest.approx(20.0)


def test_values_are_by_name_and_the_table_by_indentation():
    assert profile_values(TIMES, 20.0)["task > pseudo > backbone"] == 8.0
    console = Console(width=80)
    with console.capture() as capture:
        console.print(profile_table(TIMES, 20.0))
    lines = capture.get().splitlines()
    assert any(line.split() == ["backbone", "8.0", "40"] for line in lines)
    assert any(line.strip().startswith("total") and "20.0" in line for line in lines)


def test_a_run_that_took_no_time_has_a_profile():
    assert profile_values({}, 0.0) == {"everything else": 0.0, "total": 0.0}


@pytest.mark.parametrize("width", [60, 80])
def test_a_terminal_wraps_notes_at_words(width):
    file = Terminal()
    console = Console(file=file, force_terminal=True, width=width, _environ={"TERM": "xterm"})
    note = " ".join(f"word{number:03}" for number in range(40))
    with ConsoleCallback(console) as callback:
        callback.on_note(note)
        callback.on_stage("calibration", 1, 2)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    lines = [line for line in plain.splitlines() if "word" in line]
    assert len(lines) > 3
    assert max(map(len, lines)) <= width
    assert " ".join(" ".join(lines).split()) == note


def test_a_bar_says_what_is_left_and_how_long_it_took():
    clock = Clock()
    bars = Progress(_Times(), get_time=clock)
    task = bars.add_task("x", total=10)
    assert _Times().render(bars.tasks[0]).plain == ""
    clock.now += 30
    bars.update(task, completed=5)
    clock.now += 30
    bars.update(task, completed=7)
    assert _Times().render(bars.tasks[0]).plain.endswith(" left")
    bars.update(task, completed=10)
    assert _Times().render(bars.tasks[0]).plain == "in 1:00"
