"""Methods as they were run: with their settings, named apart where only the backbone differs."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ahl._common.text import literal, printable
from ahl.benchmark.ablations import ABLATION_METHODS
from ahl.benchmark.known_methods import METHODS
from ahl.benchmark.method_types import Labels, MethodKind
from ahl.benchmark.results import Record
from ahl.benchmark.specification import Specification

_ORDER = [method.name for method in (*METHODS, *ABLATION_METHODS)]


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A method with its settings, as it was run.

    Attributes:
        spec: the specification as given.
        method: the method's title.
        kind: what the method is in a comparison.
        labels: which anomalies it trains on.
        marks: what tells it from its like beside title and settings.
    """

    spec: str
    method: str
    kind: MethodKind
    labels: Labels
    marks: tuple[str, ...] = ()

    @property
    def base(self) -> str:
        """The method's name without settings."""
        return Specification.read(self.spec).name

    @property
    def settings(self) -> tuple[tuple[str, str], ...]:
        """Names and values of its settings, as written."""
        return Specification.read(self.spec).settings

    @property
    def title(self) -> str:
        """The method's title and its settings."""
        return Specification.read(self.spec).titled(self.method)

    @property
    def shown(self) -> str:
        """Its name in tables: the title, and what tells it from its like."""
        return " ".join((self.title, *self.marks))

    def shown_without(self, setting: str) -> str:
        """The same without one of its settings."""
        title = Specification.read(self.spec).without(setting).titled(self.method)
        return " ".join((title, *self.marks))

    @property
    def is_ahl(self) -> bool:
        """Whether it is AHL, and competes."""
        return self.kind == "ahl" and self.competes

    @property
    def sees_every_class(self) -> bool:
        """Whether it trains on every class, and so is no rival but a bound."""
        return self.labels == "every class"

    @property
    def competes(self) -> bool:
        """Whether it can be the best: neither a bound nor a part of AHL."""
        return self.kind != "part" and not self.sees_every_class

    @property
    def order(self) -> tuple[object, ...]:
        """To sort by: as in the list of methods, settings by their values."""
        place = _ORDER.index(self.base) if self.base in _ORDER else len(_ORDER)
        values = []
        for name, text in self.settings:
            number = value_of(text)
            values.append((name, number is None, 0.0 if number is None else number, text))
        return (place, self.base, tuple(values), self.shown)


def name_entrants(records: Sequence[Record]) -> dict[str, Entrant]:
    """The method behind each record.

    Records of one specification that were made with another backbone, device or config are
    methods of their own, and what differs stands behind the title.

    Returns:
        the methods by the records' keys.
    """
    conditions: dict[str, list[dict[str, str]]] = defaultdict(list)
    for record in records:
        conditions[record.method].append(condition(record))
    entrants = {}
    for record in records:
        differing = [
            f"{name} {value}"
            for name, value in condition(record).items()
            if any(other[name] != value for other in conditions[record.method])
        ]
        entrants[record.key] = Entrant(
            spec=record.method,
            method=record.title,
            kind=record.kind,
            labels=record.labels,
            marks=(f"[{', '.join(differing)}]",) if differing else (),
        )
    return _told_apart(entrants)


def condition(record: Record) -> dict[str, str]:
    """What a method's figures depend on beside its specification and the data, for people."""
    backbone = record.context.get("backbone")
    name = backbone
    if isinstance(backbone, dict):
        name = backbone.get("name") or backbone.get("kind")
    digest = hashlib.sha256(json.dumps(backbone, sort_keys=True).encode()).hexdigest()
    return {
        "backbone": printable(f"{name} {digest[:6]}"),
        "device": printable(str(record.context.get("device"))),
        "config": printable(record.config),
    }


def value_of(text: str) -> float | None:
    """A setting's value as a finite number, None if it is none."""
    value = literal(text)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else None


def _told_apart(entrants: dict[str, Entrant]) -> dict[str, Entrant]:
    """Two methods that share a title get their specification behind it."""
    shared = Counter(entrant.shown for entrant in set(entrants.values()))
    return {
        key: replace(one, marks=(*one.marks, f"({one.spec})")) if shared[one.shown] > 1 else one
        for key, one in entrants.items()
    }
