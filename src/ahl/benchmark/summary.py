"""From the records of a results folder to one figure for each method, dataset, setting and M."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ahl._common.text import printable
from ahl.benchmark.entrants import Entrant, condition, name_entrants
from ahl.benchmark.published import published, published_datasets
from ahl.benchmark.results import Record, Results
from ahl.benchmark.statistics import Figure, auroc_replicates, image_counts, summarise


@dataclass(frozen=True, kw_only=True)
class Column:
    """What methods are compared on.

    Attributes:
        dataset: its name.
        setting: of the protocol, or `transfer from SOURCE`.
        anomalies: M.
        subset: one part of the dataset, or "" for all.
        known_class: the class drawn from in the hard setting, or "" for all.
    """

    dataset: str
    setting: str
    anomalies: int
    subset: str = ""
    known_class: str = ""

    @property
    def place(self) -> str:
        """Dataset, part and class."""
        return "/".join(part for part in (self.dataset, self.subset, self.known_class) if part)

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.place}, {self.setting}, M = {self.anomalies}"

    @property
    def order(self) -> tuple[object, ...]:
        """To sort by: general before hard, M = 10 before 1, datasets as in the paper."""
        known = published_datasets()
        place = known.index(self.dataset) if self.dataset in known else len(known)
        return (self.setting, -self.anomalies, place, self.dataset, self.subset, self.known_class)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A method's result in a column.

    Attributes:
        figure: the summed up figures.
        peak_mebibytes: the most that any cell took.
        missing: cells that other methods have here and this one has not.
        paper: the paper's mean and deviation, if it has them.
    """

    figure: Figure
    peak_mebibytes: float
    missing: int
    paper: tuple[float, float | None] | None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A results folder, summed up.

    Attributes:
        records: those that stand behind the figures, in a fixed order, names cleaned.
        replaced: number of records left out because their cell was measured again.
        columns: whole datasets, by setting and M, in the order of the tables.
        parts: parts of datasets, and single classes of the hard setting.
        entrants: the methods, in the order of the tables.
        entries: by column (whole or part) and method, where there is one.
    """

    records: tuple[Record, ...]
    replaced: int
    columns: tuple[Column, ...]
    parts: tuple[Column, ...]
    entrants: tuple[Entrant, ...]
    entries: Mapping[tuple[Column, Entrant], Entry]

    def records_of(self, column: Column) -> list[Record]:
        """The records behind a column's figures."""
        return [record for record in self.records if column in _columns_of(record)]

    def of(self, column: Column) -> dict[Entrant, Entry]:
        """The methods with a result in a column, in the order of the tables."""
        return {
            entrant: self.entries[column, entrant]
            for entrant in self.entrants
            if (column, entrant) in self.entries
        }


def summarise_results(results: Results) -> Summary:
    """Sum up a results folder.

    The order of its lines does not matter, except that of two records of the same cell, as after
    a dataset has changed, the later one counts.
    """
    latest: dict[tuple[object, ...], Record] = {}
    for record in map(_cleaned, results.records.values()):
        latest[_identity(record)] = record
    records = sorted(latest.values(), key=lambda r: (r.seed, r.subset, r.known_class, r.key))
    entrants = name_entrants(records)
    groups: dict[tuple[Column, Entrant], list[Record]] = defaultdict(list)
    draws: dict[Column, set[tuple[object, ...]]] = defaultdict(set)
    for record in records:
        for column in _columns_of(record):
            groups[column, entrants[record.key]].append(record)
            draws[column].add(_draw(record))
    replicates = {r.key: found for r in records if (found := _replicates(results, r)) is not None}
    columns = sorted(draws, key=lambda column: column.order)
    return Summary(
        records=tuple(records),
        replaced=len(results.records) - len(records),
        columns=tuple(c for c in columns if not c.subset and not c.known_class),
        parts=tuple(c for c in columns if c.subset or c.known_class),
        entrants=tuple(sorted(set(entrants.values()), key=lambda entrant: entrant.order)),
        entries={
            (column, entrant): Entry(
                figure=summarise(members, replicates),
                peak_mebibytes=max(record.peak_mebibytes for record in members),
                missing=len(draws[column] - {_draw(record) for record in members}),
                paper=_paper(column, entrant),
            )
            for (column, entrant), members in groups.items()
        },
    )


def _cleaned(record: Record) -> Record:
    return replace(
        record,
        dataset=printable(record.dataset),
        subset=printable(record.subset),
        setting=printable(record.setting),
        known_class=printable(record.known_class),
        source=printable(record.source),
        method=printable(record.method),
        title=printable(record.title),
    )


def _draw(record: Record) -> tuple[object, ...]:
    return (record.subset, record.known_class, record.seed)


def _identity(record: Record) -> tuple[object, ...]:
    place = (record.dataset, record.setting, record.source, record.anomalies, *_draw(record))
    return (*place, record.method, *condition(record).values())


def _columns_of(record: Record) -> Iterator[Column]:
    """The whole dataset, the part, and the part's class."""
    setting = f"transfer from {record.source}" if record.source else record.setting
    whole = Column(dataset=record.dataset, setting=setting, anomalies=record.anomalies)
    yield whole
    if record.subset:
        yield replace(whole, subset=record.subset)
    if record.known_class:
        yield replace(whole, subset=record.subset, known_class=record.known_class)


def _replicates(results: Results, record: Record) -> NDArray[np.float64] | None:
    scored = results.scored(record.key)
    if scored is None or not np.isfinite(scored.scores).all():
        return None
    if set(scored.labels.tolist()) != {0, 1}:
        return None
    return auroc_replicates(scored.labels, scored.scores, image_counts(scored.names))


def _paper(column: Column, entrant: Entrant) -> tuple[float, float | None] | None:
    if column.known_class:
        return None
    where = (column.dataset, column.setting, column.anomalies)
    return published(*where, entrant.title, column.subset)
