"""Where the time of a run went."""

import pytest
from rich.console import Console

from ahl.apps.cli.profile import profile_rows, profile_table, profile_values

TIMES = {
    ("reading",): 1.0,
    ("images", "decoding"): 2.0,
    ("images", "backbone"): 4.0,
    ("images",): 0.5,
    ("task", "pseudo", "backbone"): 8.0,
    ("task", "pseudo"): 0.25,
    ("task",): 0.25,
}


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
