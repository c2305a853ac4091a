"""A training and the adaptations after it are drawn apart."""

import math
import re

import pytest
from rich.console import Console

from ahl._common.history import EpochRecord
from ahl.apps.report.training_plots import (
    ASCII_BLOCKS,
    BLOCKS,
    WIDTH,
    curve_tables,
    draw_trainings,
    sparkline,
    split_trainings,
)


def records(*epochs, query=()):
    return [
        EpochRecord(epoch=e, support_losses=(1.0, 2.0), query_losses=query, importance=(0.5, 0.5))
        for e in epochs
    ]


@pytest.mark.parametrize(
    ("epochs", "lengths"),
    [((), []), ((1,), [1]), ((1, 2, 1, 2, 3), [2, 3]), ((1, 1, 1, 2), [1, 1, 2]), ((5, 6), [2])],
)
def test_a_training_begins_where_epochs_do_not_go_on(epochs, lengths):
    assert [len(one) for one in split_trainings(records(*epochs))] == lengths


def test_an_adaptation_is_drawn_by_itself():
    drawn = draw_trainings([*records(1, 2, query=(1.0, 1.0)), *records(1, 2), *records(1)])
    captions = [caption for caption, _ in drawn]
    assert captions[3:] == ["Loss of the adaptation", "Loss of the adaptation 2"]
    assert len(captions) == 5
    ids = [one for _, drawing in drawn for one in re.findall(r'\bid="([^"]+)"', drawing)]
    assert len(set(ids)) == len(ids)
    assert [caption for caption, _ in draw_trainings(records(1, 2))] == ["Loss"]
    assert draw_trainings([]) == []


def record(epoch, support, query=(), importance=(1.0,)):
    return EpochRecord(
        epoch=epoch, support_losses=support, query_losses=query, importance=importance
    )


def shown(records, **options):
    console = Console(width=80)
    with console.capture() as capture:
        for title, table in curve_tables(records, **options):
            console.print(title)
            console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def words(line):
    return " ".join(line.split())


def test_a_curve_spans_the_blocks():
    assert sparkline([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 0.0, 7.0) == BLOCKS
    assert sparkline([7.0, 0.0], 0.0, 7.0, ASCII_BLOCKS) == "#_"
    assert sparkline([3.0, 3.0], 3.0, 3.0) == BLOCKS[0] * 2
    assert sparkline([1.0, math.nan, math.inf], 0.0, 1.0) == BLOCKS[-1] + "xx"


def test_many_values_are_averaged_into_the_width():
    values = [float(i // 10) for i in range(WIDTH * 10)]
    drawn = sparkline(values, 0.0, WIDTH - 1.0)
    assert drawn == sparkline([float(i) for i in range(WIDTH)], 0.0, WIDTH - 1.0)


def test_base_models_have_rows_on_one_scale():
    records = [
        record(1, (8.0, 4.0), (6.0, 6.0), (0.5, 0.5)),
        record(2, (4.0, 0.0), (5.0, 0.012), (0.25, 0.75)),
    ]
    title, head, mean, first, second = shown(records)
    assert title == "training, first to last of 2 epochs"
    assert head.split("  ")[0] == "base model"
    assert words(mean) == "mean ▇▃ 6.00 to 2.00 █▄ 6.00 to 2.51"
    assert words(first) == "1 █▅ 8.00 to 4.00 █▇ 6.00 to 5.00 0.250"
    assert words(second) == "2 ▅▁ 4.00 to 0 █▁ 6.00 to 0.012 0.750"


def test_an_adaptation_has_a_table_of_its_own():
    records = [record(1, (2.0,)), record(2, (1.0,)), record(1, (4.0,)), record(2, (3.0,))]
    lines = shown(records, ascii_only=True)
    assert lines[0] == "training, first to last of 2 epochs"
    assert lines[3] == "adaptation, first to last of 2 epochs"
    assert words(lines[4]) == "loss"
    assert words(lines[5]) == "#_ 4.00 to 3.00"
    assert all(line.isascii() for line in lines)


def test_a_model_without_epochs_has_no_curves():
    assert curve_tables([]) == []


@pytest.mark.parametrize("models", [3, 7])
def test_the_default_number_of_models_fits_a_terminal(models):
    records = [
        record(i + 1, (123.4,) * models, (123.4,) * models, (0.1,) * models) for i in range(30)
    ]
    assert len(shown(records)) == models + 3
