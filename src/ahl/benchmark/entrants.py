"""Methods as they were run: with their settings, named apart where only the backbone differs."""

from __future__ import annotations

import ast
import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ahl.benchmark.ablations import ABLATION_METHODS
from ahl.benchmark.known_methods import METHODS
from ahl.benchmark.results import Record

_ORDER = [method.name for method in (*METHODS, *ABLATION_METHODS)]


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A method with its settings, as it was run.

    Attributes:
        spec: the specification as given.
        title: the method's title and its settings.
        shown: its name in tables: the title, and what tells it from its like.
        base: the method's name without settings.
        settings: names and values of its settings, as written.
    """

    spec: str
    title: str
    shown: str
    base: str
    settings: tuple[tuple[str, str], ...]

    @property
    def is_ahl(self) -> bool:
        """Whether it is AHL on one of the base detectors."""
        return self.base.startswith("ahl-")

    @property
    def sees_every_class(self) -> bool:
        """Whether it trains on every class, and so is no rival but a bound."""
        return self.base == "fs-dra"

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
        base, *parts = (part.strip() for part in record.method.split(","))
        title = ", ".join([record.title, *parts])
        differing = [
            f"{name} {value}"
            for name, value in condition(record).items()
            if any(other[name] != value for other in conditions[record.method])
        ]
        entrants[record.key] = Entrant(
            spec=record.method,
            title=title,
            shown=f"{title} [{', '.join(differing)}]" if differing else title,
            base=base,
            settings=tuple((part.partition("=")[0], part.partition("=")[2]) for part in parts),
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
        "backbone": one_line(f"{name} {digest[:6]}"),
        "device": one_line(str(record.context.get("device"))),
        "config": one_line(record.config),
    }


def one_line(text: str) -> str:
    """The text without line breaks, control characters and halves of broken letters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def value_of(text: str) -> float | None:
    """A setting's value as a finite number, None if it is none."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else None


def _told_apart(entrants: dict[str, Entrant]) -> dict[str, Entrant]:
    """Two methods that share a title get their specification behind it."""
    shared = Counter(entrant.shown for entrant in set(entrants.values()))
    return {
        key: replace(one, shown=f"{one.shown} ({one.spec})") if shared[one.shown] > 1 else one
        for key, one in entrants.items()
    }
