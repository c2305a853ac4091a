"""Method variants: `NAME`, or `NAME,SECTION.FIELD=VALUE,...`; and groups of them, the ablations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from ahl._common.errors import ConfigurationError
from ahl._common.text import literal
from ahl.benchmark.fairness import PLAIN, Settings
from ahl.benchmark.methods import (
    ABLATION_METHODS,
    METHODS,
    Labels,
    Method,
    MethodKind,
    Scores,
    find_method,
)
from ahl.benchmark.problem import Problem
from ahl.config import Config

Written = tuple[tuple[str, str], ...]
"""Dotted names of config fields, and their values as written ("" if there is none)."""

_ORDER = [method.name for method in (*METHODS, *ABLATION_METHODS)]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A method with settings of its own.

    Attributes:
        text: the variant as written, also in the results.
        method: the method; for a stored result, a `Measured` with its description.
        mark: in a report, the difference from variants of the same title and settings.
    """

    text: str
    method: Method
    mark: str = ""

    @classmethod
    def parse(cls, text: str, further: tuple[Method, ...] = ()) -> Variant:
        """Parse a variant to run.

        Raises:
            ConfigurationError: if the method is unknown, a setting is malformed, or the method
                fixes or does not read it.
        """
        name, settings = take_apart(text)
        method = find_method(name, further)
        fixed = dict(method.fixed)
        for field, value in settings:
            if not value or field.count(".") != 1:
                raise ConfigurationError(
                    f"The setting {field!r} of {text!r} must be SECTION.FIELD=VALUE, such as "
                    "distributions.clusters=4."
                )
            if not method.reads_config:
                raise ConfigurationError(
                    f"The method {method.name} takes no settings; leave {field} out of {text!r}."
                )
            if field in fixed:
                raise ConfigurationError(
                    f"The method {method.name} has {field}={fixed[field]} by definition; leave "
                    f"that setting out of {text!r}, or choose another method."
                )
        return cls(text=text, method=method)

    @property
    def written(self) -> Written:
        """Settings with their values as written."""
        return take_apart(self.text)[1]

    @property
    def settings(self) -> Settings:
        """Settings with their parsed values."""
        return tuple((field, literal(value)) for field, value in self.written)

    def configure(self, config: Config) -> Config:
        """The config with the method's settings, the variant's and the fixed ones, in this order.

        Raises:
            ConfigurationError: if a setting is unknown, has an invalid value, or is one that all
                methods share (`features`, `finetune`).
        """
        settings = (*self.method.settings, *self.settings, *self.method.fixed)
        values = config.to_dict()
        for name, value in settings:
            section, field = name.split(".")
            if field not in values.get(section, {}):
                raise ConfigurationError(
                    f"Unknown setting {name!r} in {self.text!r}; expected one such as "
                    "learning.epochs."
                )
            if section in ("finetune", "features"):
                raise ConfigurationError(
                    f"{name} (in {self.text!r}) cannot differ between methods, which share their "
                    "features; set it for the whole run."
                )
            values[section][field] = value
        return Config.from_dict(values)

    @property
    def title(self) -> str:
        """The method's title and the settings."""
        return titled(self.method.title, self.written)

    @property
    def shown(self) -> str:
        """The variant's name in tables: title and mark."""
        return " ".join(filter(None, (self.title, self.mark)))

    def shown_without(self, setting: str) -> str:
        """The name in tables without one of the settings."""
        rest = tuple(one for one in self.written if one[0] != setting)
        return " ".join(filter(None, (titled(self.method.title, rest), self.mark)))

    @property
    def sees_every_class(self) -> bool:
        """True for an upper bound, trained on anomalies of every class."""
        return self.method.labels == "every class"

    @property
    def competes(self) -> bool:
        """True if it can be the best: neither a bound nor a part of AHL."""
        return self.method.kind != "part" and not self.sees_every_class

    @property
    def is_ahl(self) -> bool:
        """True if the method is AHL and competes."""
        return self.method.kind == "ahl" and self.competes

    @property
    def order(self) -> tuple[object, ...]:
        """Sort key: methods in the order of the tables, settings by their values."""
        name = self.method.name
        place = _ORDER.index(name) if name in _ORDER else len(_ORDER)
        values = []
        for field, text in self.written:
            number = number_of(text)
            values.append((field, number is None, 0.0 if number is None else number, text))
        return (place, name, tuple(values), self.shown)


def take_apart(text: str) -> tuple[str, Written]:
    """Split a variant's text into name and settings, without checking them."""
    name, *parts = (part.strip() for part in text.split(","))
    fields = (part.partition("=") for part in parts)
    return name, tuple((field.strip(), value.strip()) for field, _, value in fields)


def titled(title: str, settings: Written) -> str:
    """The title, followed by the settings."""
    return ", ".join([title, *(f"{f}={value}" if value else f for f, value in settings)])


def number_of(text: str) -> float | None:
    """A setting's value as a finite number; None for other values."""
    value = literal(text)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else None


@final
@dataclass(frozen=True, kw_only=True)
class Measured(Method):
    """A method as stored results describe it; it cannot be run."""

    name: str
    title: str
    kind: MethodKind
    labels: Labels

    def score(self, problem: Problem) -> Scores:
        """Refuse to run.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(
            f"The method {self.name} is known only from a stored result and cannot be run."
        )


_PLAIN = ",".join(f"{field}={value}" for field, value in PLAIN)

# Of each rival: values of the default preset that it has not, then published ones that it has not.
_STEPS = "learning.rounds=8,learning.inner_steps=1"
_SCALE = "vectors.l1_norm=600.0"
_LEARNING = ("learning.batch_size=48", "learning.averaged_epochs=1", "learning.inner_rate=0.0002")
_HEADS = ("heads.initial_scale=1.0", "heads.pseudo_weight=1.0")
_OURS = ("learning.batch_size=32", "learning.averaged_epochs=15", "learning.inner_rate=0.0005")
_RIVALS: dict[str, tuple[str, ...]] = {
    "dra": (
        *(_STEPS, _SCALE, *_LEARNING, *_HEADS),
        *("heads.holistic_pseudo=True", "heads.stored_references=5"),
        "heads.residual_bottleneck=0,heads.residual_channels=0",
    ),
    "devnet": (_STEPS, _SCALE, *_LEARNING, *_HEADS),
    "flos": (_STEPS, _SCALE, *_OURS),
    "saoe": ("learning.rounds=1,learning.inner_steps=20", "vectors.l1_norm=0.0", *_LEARNING),
    "mlep": (_STEPS, _SCALE, *_OURS),
}

ABLATIONS: dict[str, tuple[str, ...]] = {
    "table5": (
        f"+alone,{_PLAIN}",
        *(method.name for method in ABLATION_METHODS if "+alone" not in method.name),
        f"ahl-dra,{_PLAIN}",
    ),
    "overlap": tuple(
        f"ahl-dra,distributions.anomaly_overlap={overlap}"
        for overlap in ("disjoint", "support_in_query", "query_in_support", "both")
    ),
    "clusters": tuple(f"ahl-dra,distributions.clusters={c}" for c in (2, 3, 4, 5)),
    "history": tuple(f"ahl-dra,importance.history={k}" for k in (2, 3, 5, 7, 9)),
    "episodes": tuple(f"ahl-dra,distributions.max_episodes={t}" for t in (3, 5, 7)),
    "pseudo": ("ahl-dra", "ahl-dra,distributions.pseudo=False"),
    "importance": tuple(f"ahl-dra,importance.source={s}" for s in ("psi", "measured", "equal")),
    "evidence": tuple(
        f"{method},vectors.components=128,memory.patches={patches},calibration.folds={folds}"
        for method in ("ahl-dra", "+alone", "ahl-devnet", "+alone+devnet")
        for patches in (0, 2000)
        for folds in (0, 3)
    ),
    "default": (
        "ahl-dra",
        *(
            f"ahl-dra,{setting}"
            for setting in (
                "vectors.components=0",
                "calibration.neighbours=0",
                "calibration.folds=0",
                "memory.patches=0",
                "learning.averaged_epochs=1",
                "learning.rounds=1",
                "heads.initial_scale=1.0",
                "heads.pseudo_weight=1.0",
                "heads.holistic_pseudo=True",
            )
        ),
    ),
    "rivals": tuple(
        f"{method}{change}"
        for method, changes in _RIVALS.items()
        for change in ("", *(f",{change}" for change in changes))
    ),
    "inner": ("ahl-dra", "ahl-dra,learning.inner_rate=1e-9", "ahl-dra,learning.second_order=True"),
}
"""Groups of variants, by the names that `--ablation` takes."""
