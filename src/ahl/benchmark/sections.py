"""The tables of the report, before they are written in any format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from ahl.benchmark.entrants import Entrant
from ahl.benchmark.facts import test_sizes
from ahl.benchmark.summary import Column, Entry, Summary
from ahl.benchmark.verdicts import digits, incomplete, verdicts


@dataclass(frozen=True, kw_only=True)
class TableCell:
    """One cell of a table.

    Attributes:
        text: the figure.
        interval: its interval, or "".
        beside: the paper's figure, or "".
        best: to be set in bold.
    """

    text: str
    interval: str = ""
    beside: str = ""
    best: bool = False

    @property
    def words(self) -> str:
        """All of it on one line."""
        return " ".join(part for part in (self.text, self.interval, self.beside) if part)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with a head for its columns and its rows.

    Attributes:
        title: what it shows.
        corner: what the rows are.
        head: names of the columns.
        rows: name and cells of each row.
    """

    title: str
    corner: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[TableCell, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One setting with one M.

    Attributes:
        heading: setting and M.
        columns: its datasets.
        verdicts: where AHL does not win, in sentences.
        main: the table of AUROC.
        further: tables of the other figures, and of parts and classes.
    """

    heading: str
    columns: tuple[Column, ...]
    verdicts: tuple[str, ...]
    main: Table
    further: tuple[Table, ...]


def make_sections(summary: Summary) -> tuple[Section, ...]:
    """All sections, in the order of the summary."""
    return tuple(
        _section(summary, tuple(columns))
        for _, columns in groupby(summary.columns, key=lambda c: (c.setting, c.anomalies))
    )


def sizes_table(summary: Summary) -> Table:
    """What every column was tested on."""
    return Table(
        title="Sizes of the tests",
        corner="dataset, setting, M",
        head=(
            "draws",
            "training normals",
            "tested normals",
            "tested anomalies",
            "duplicates left out",
            "unreadable images",
        ),
        rows=tuple(
            (column.label, tuple(TableCell(text=text) for text in test_sizes(summary, column)))
            for column in summary.columns
        ),
    )


def auroc_cell(entry: Entry, *, best: bool) -> TableCell:
    """Mean, deviation if there are several seeds, interval, and the paper's figure."""
    figure = entry.figure
    spread = f" ± {figure.deviation:.3f}" if figure.seeds > 1 else ""
    interval = ""
    if figure.low is not None and figure.high is not None:
        interval = f"[{digits(figure.low, 2)}, {digits(figure.high, 2)}]"
    return TableCell(
        text=f"{digits(figure.mean)}{spread}",
        interval=interval,
        beside="" if entry.paper is None else f"paper {digits(entry.paper[0])}",
        best=best,
    )


def _section(summary: Summary, columns: tuple[Column, ...]) -> Section:
    first = columns[0]
    heading = f"{first.setting[:1].upper()}{first.setting[1:]} setting, M = {first.anomalies}"
    tables = [
        _by_dataset(summary, columns, title, cell, better)
        for title, cell, better in (
            ("AUROC on seen / unseen classes", _seen_unseen, None),
            ("Average precision", _other("average_precision"), _high("average_precision")),
            ("False-positive rate at 95 % detection", _other("fpr95"), _low("fpr95")),
            ("Seconds a cell", lambda e: f"{e.figure.seconds:.1f}", None),
            ("Peak memory, MiB", lambda e: f"{e.peak_mebibytes:,.0f}", None),
        )
    ]
    for column in columns:
        for title, classes in (("parts", False), ("known classes", True)):
            parts = [
                part
                for part in summary.parts
                if (part.dataset, part.setting, part.anomalies)
                == (column.dataset, column.setting, column.anomalies)
                and bool(part.known_class) is classes
            ]
            if parts:
                tables.append(_by_part(summary, parts, f"AUROC by {title} of {column.dataset}"))
    return Section(
        heading=heading,
        columns=columns,
        verdicts=(*verdicts(summary, columns), *incomplete(summary, columns)),
        main=_by_dataset(summary, columns, "AUROC", None, _mean),
        further=tuple(tables),
    )


def _by_dataset(
    summary: Summary,
    columns: Sequence[Column],
    title: str,
    write: Callable[[Entry], str] | None,
    better: Callable[[Entry], float | None] | None,
) -> Table:
    """Methods down, datasets across; `write` gives the text, without it the full AUROC cell."""
    best = {column: _best(summary.of(column), better) for column in columns}

    def cell(column: Column, entrant: Entrant) -> TableCell:
        entry = summary.entries.get((column, entrant))
        if entry is None:
            return TableCell(text="-")
        if write is None:
            return auroc_cell(entry, best=entrant in best[column])
        return TableCell(text=write(entry), best=entrant in best[column])

    there = [e for e in summary.entrants if any((c, e) in summary.entries for c in columns)]
    return Table(
        title=title,
        corner="method",
        head=tuple(column.dataset for column in columns),
        rows=tuple((e.shown, tuple(cell(column, e) for column in columns)) for e in there),
    )


def _by_part(summary: Summary, parts: Sequence[Column], title: str) -> Table:
    """Parts down, methods across: there may be many parts."""
    there = [e for e in summary.entrants if any((part, e) in summary.entries for part in parts)]
    rows = []
    for part in parts:
        entries = summary.of(part)
        best = _best(entries, _mean)
        cells = tuple(
            auroc_cell(entries[e], best=e in best) if e in entries else TableCell(text="-")
            for e in there
        )
        rows.append(("/".join(filter(None, (part.subset, part.known_class))), cells))
    return Table(
        title=title,
        corner="part",
        head=tuple(entrant.shown for entrant in there),
        rows=tuple(rows),
    )


def _best(
    entries: dict[Entrant, Entry], better: Callable[[Entry], float | None] | None
) -> set[Entrant]:
    """The best of the methods that compete (several if they tie)."""
    if better is None:
        return set()
    values = {
        entrant: value
        for entrant, entry in entries.items()
        if entrant.competes and (value := better(entry)) is not None
    }
    top = max(values.values(), default=None)
    return {entrant for entrant, value in values.items() if value == top}


def _mean(entry: Entry) -> float:
    return entry.figure.mean


def _seen_unseen(entry: Entry) -> str:
    others = entry.figure.others
    return f"{digits(others['auroc_seen'])} / {digits(others['auroc_unseen'])}"


def _other(name: str) -> Callable[[Entry], str]:
    return lambda entry: digits(entry.figure.others[name])


def _high(name: str) -> Callable[[Entry], float | None]:
    return lambda entry: entry.figure.others[name]


def _low(name: str) -> Callable[[Entry], float | None]:
    def negative(entry: Entry) -> float | None:
        value = entry.figure.others[name]
        return None if value is None else -value

    return negative
