"""The paper's figures, for comparison with ours."""

from __future__ import annotations

import csv
import functools
from importlib import resources
from typing import NamedTuple

_MVTEC = "MVTec AD"
"""Dataset whose categories have rows of their own in the paper's hard setting and table 7."""

_OVERLAP = "AHL(DRA), distributions.anomaly_overlap="
_TABLE_10 = {
    f"{_OVERLAP}support_in_query": "AHL(DRA), support anomalies also in query",
    f"{_OVERLAP}query_in_support": "AHL(DRA), query anomalies also in support",
    f"{_OVERLAP}both": "AHL(DRA), shared both ways",
    f"{_OVERLAP}disjoint": "AHL(DRA)",
}
"""Our titles of the four kinds of overlap, and the paper's."""


class PublishedFigure(NamedTuple):
    """A figure of the paper.

    Attributes:
        table: number of its table.
        setting: general, hard, or a row of the cross-domain table.
        anomalies: number M of training anomalies.
        dataset: the paper's name of the dataset, or of a category of MVTec AD.
        method: the paper's name of the method.
        mean: mean image-level AUROC over three runs.
        deviation: standard deviation over the runs; None if the paper gives none.
    """

    table: int
    setting: str
    anomalies: int
    dataset: str
    method: str
    mean: float
    deviation: float | None


@functools.cache
def published_figures() -> tuple[PublishedFigure, ...]:
    """All figures, sorted by table, in the paper's order within a table."""
    source = resources.files("ahl.benchmark").joinpath("published.csv")
    figures = []
    for row in csv.DictReader(source.read_text(encoding="utf-8").splitlines()):
        place = (int(row["table"]), row["setting"], int(row["anomalies"]))
        names = (row["dataset"], row["method"])
        deviation = float(row["deviation"]) if row["deviation"] else None
        figures.append(PublishedFigure(*place, *names, float(row["auroc"]), deviation))
    return tuple(sorted(figures, key=lambda figure: figure.table))


def published_datasets() -> tuple[str, ...]:
    """Names of the paper's datasets, in its order."""
    return tuple(dict.fromkeys(figure.dataset for figure in published_figures()))


def published(
    dataset: str, setting: str, anomalies: int, title: str, subset: str = ""
) -> tuple[float, float | None] | None:
    """The paper's figure for a method on a dataset.

    Args:
        dataset: its name in the tables; case, blanks and underscores do not matter.
        setting: general, hard or `transfer from DATASET/PART`.
        anomalies: number M of training anomalies.
        title: the method's name in our tables, with its settings if it has any.
        subset: a category of MVTec AD, or "" for the whole dataset.

    Returns:
        mean and standard deviation (None if the paper gives none) of the image-level AUROC, from
        the first table that has it; None if the paper has no such figure.
    """
    if subset and _plain(dataset) != _plain(_MVTEC):
        return None
    setting = setting.replace(f"{_MVTEC}/", "")
    place = (_plain(subset or dataset), _plain(setting), anomalies)
    return _by_place().get((*place, _TABLE_10.get(title, title)))


@functools.cache
def _by_place() -> dict[tuple[str, str, int, str], tuple[float, float | None]]:
    found: dict[tuple[str, str, int, str], tuple[float, float | None]] = {}
    for one in published_figures():
        setting = one.setting.replace("cross-domain source=", "transfer from ")
        place = (_plain(one.dataset), _plain(setting), one.anomalies, one.method)
        found.setdefault(place, (one.mean, one.deviation))
    return found


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
