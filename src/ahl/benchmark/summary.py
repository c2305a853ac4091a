"""Summaries of results: a table of figures for each dataset, setting and M."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import ConfigurationError
from ahl._common.schema import json_hash
from ahl._common.text import printable
from ahl.benchmark.bootstrap import auroc_replicates, image_counts, interval
from ahl.benchmark.protocol import TOGETHER
from ahl.benchmark.published import published, published_datasets
from ahl.benchmark.results import Results, TrialResult
from ahl.benchmark.variants import Measured, Variant, take_apart

if TYPE_CHECKING:
    import pandas as pd

OTHERS = ("auroc_seen", "auroc_unseen", "average_precision", "fpr95")

_CONDITIONS = ["backbone", "features", "device", "config"]
"""Names of all that the figures depend on besides variant and data."""

_DRAW = ["subset", "known_class", "seed"]


class Column(NamedTuple):
    """A column of the tables: the data and setting on which variants are compared.

    Attributes:
        setting: the protocol's setting, or `transfer from SOURCE`.
        anomalies: number M of training anomalies.
        dataset: name of the dataset.
        subset: name of one subset, or "" for all.
        known_class: class drawn from in the hard setting, or "" for all.
    """

    setting: str
    anomalies: int
    dataset: str
    subset: str = ""
    known_class: str = ""

    @property
    def label(self) -> str:
        """The column in words."""
        place = "/".join(filter(None, (self.dataset, self.subset, self.known_class)))
        return f"{place}, {self.setting}, M = {self.anomalies}"

    @property
    def order(self) -> tuple[object, ...]:
        """Sort key: general before hard, M = 10 before 1, datasets in the paper's order."""
        known, dataset = published_datasets(), self.dataset.removesuffix(TOGETHER)
        place = known.index(dataset) if dataset in known else len(known)
        return (self.setting, -self.anomalies, place, *self[2:])


@dataclass(frozen=True, kw_only=True, eq=False)
class Summary:
    """Summary of a results folder.

    Attributes:
        trials: a row per trial behind the figures, in a fixed order, texts cleaned.
        replaced: number of results left out because their trial was measured again.
        variants: variants by their names in the tables, in the tables' order.
        tables: tables by column, whole datasets first; a row for each variant measured there, with

            - auroc: mean over the seeds, of each seed's mean over classes (hard setting) and parts;
            - deviation: standard deviation over the seeds (0 for one);
            - low, high: 95 % bootstrap interval of the mean over the test images;
            - seeds, trials, missing_trials (that other variants have here): numbers;
            - the means of `OTHERS` and of seconds, and the highest peak_mebibytes;
            - paper_auroc, paper_deviation: the paper's.

            Unknown values are NaN.
    """

    trials: pd.DataFrame
    replaced: int
    variants: Mapping[str, Variant]
    tables: Mapping[Column, pd.DataFrame]

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of whole datasets, by setting and M."""
        return tuple(c for c in self.tables if not c.subset and not c.known_class)

    @property
    def parts(self) -> tuple[Column, ...]:
        """Columns of single subsets, and of single classes of the hard setting."""
        return tuple(c for c in self.tables if c.subset or c.known_class)


def summarise_results(results: Results) -> Summary:
    """Summarise a results folder that has results.

    The order of its lines does not matter, except that the later of two results of one trial
    counts, as after a dataset has changed.

    Raises:
        ConfigurationError: if pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "A report of the benchmark needs pandas: pip install 'ahl[benchmark]'."
        ) from error
    trials = pd.DataFrame([_row(result) for result in results.trials.values()])
    trials = trials.astype(dict.fromkeys(OTHERS, float))
    identity = [*Column._fields, "seed", "method", *_CONDITIONS]
    trials = trials.drop_duplicates(identity, keep="last").sort_values([*_DRAW[::-1], "key"])
    variants = _variants(trials)
    trials["variant"] = [variant.shown for variant in variants]
    named = {variant.shown: variant for variant in sorted(variants, key=lambda one: one.order)}
    replicates = {
        key: found for key in trials["key"] if (found := _replicates(results, key)) is not None
    }
    return Summary(
        trials=trials,
        replaced=len(results.trials) - len(trials),
        variants=named,
        tables=_tables(trials, named, replicates),
    )


def rows_of(table: pd.DataFrame) -> Iterator[Any]:
    """Yield a table's rows as named tuples; `Index` is the row's index."""
    yield from table.itertuples()


def _row(result: TrialResult) -> dict[str, Any]:
    """A result as a row, texts cleaned, with the columns of `_CONDITIONS`."""
    values = msgspec.structs.asdict(result)
    row = {name: printable(v) if isinstance(v, str) else v for name, v in values.items()}
    backbone = result.context.get("backbone")
    name = backbone
    if isinstance(backbone, dict):
        name = backbone.get("name") or backbone.get("kind")
    heads = result.context.get("finetuned")
    return row | {
        "backbone": printable(f"{name} {json_hash(backbone)[:6]}"),
        "features": printable(f"fine-tuned by {heads}") if heads else "frozen",
        "device": printable(str(result.context.get("device"))),
        "setting": f"transfer from {row['source']}" if result.source else row["setting"],
    }


def _variants(trials: pd.DataFrame) -> list[Variant]:
    """The variant of each trial.

    Trials of one variant on another backbone or device, or with another config, are variants of
    their own; the difference is added to the title.
    """
    differs = trials.groupby("method")[_CONDITIONS].transform("nunique") > 1
    variants = []
    for trial, differing in zip(rows_of(trials), differs.to_numpy(), strict=True):
        name, _ = take_apart(trial.method)
        method = Measured(name=name, title=trial.title, kind=trial.kind, labels=trial.labels)
        there = zip(_CONDITIONS, differing, strict=True)
        marks = ", ".join(f"{name} {getattr(trial, name)}" for name, one in there if one)
        mark = f"[{marks}]" if marks else ""
        variants.append(Variant(text=trial.method, method=method, mark=mark))
    shown = Counter(variant.shown for variant in set(variants))
    return [
        replace(one, mark=f"{one.mark} ({one.text})".strip()) if shown[one.shown] > 1 else one
        for one in variants
    ]


def _tables(
    trials: pd.DataFrame,
    variants: Mapping[str, Variant],
    replicates: Mapping[str, NDArray[np.float64]],
) -> dict[Column, pd.DataFrame]:
    import pandas as pd

    trials = trials.assign(draw=trials.groupby(_DRAW).ngroup())
    columns = [
        trials.assign(subset="", known_class=""),
        trials[trials["subset"] != ""].assign(known_class=""),
        trials[trials["known_class"] != ""],
    ]
    tables = {}
    for place, members in pd.concat(columns).groupby(list(Column._fields)):
        column = Column._make(place)
        by = members.groupby("variant")
        table = by.agg(
            trials=("key", "size"),
            draws=("draw", "nunique"),
            seconds=("seconds", "mean"),
            peak_mebibytes=("peak_mebibytes", "max"),
            **{name: (name, "mean") for name in OTHERS},
        )
        seeds = members.groupby(["variant", "seed"])["auroc"].mean().groupby("variant")
        table["auroc"], table["deviation"] = seeds.mean(), seeds.std().fillna(0)
        table["seeds"] = seeds.size()
        table["missing_trials"] = members["draw"].nunique() - table["draws"]
        table[["low", "high"]] = [_interval(group, replicates) for _, group in by]
        where = (column.dataset, column.setting, column.anomalies)
        paper = [
            None if column.known_class else published(*where, variants[name].title, column.subset)
            for name in table.index
        ]
        table[["paper_auroc", "paper_deviation"]] = np.array(
            [found or (None, None) for found in paper], dtype=float
        )
        # Sums in another order must not untie two variants.
        table[["auroc", *OTHERS]] = table[["auroc", *OTHERS]].round(12)
        tables[column] = table.loc[[name for name in variants if name in table.index]]
    return {column: tables[column] for column in sorted(tables, key=lambda one: one.order)}


def _interval(
    trials: pd.DataFrame, replicates: Mapping[str, NDArray[np.float64]]
) -> tuple[float, float]:
    if not set(trials["key"]) <= replicates.keys():
        return np.nan, np.nan
    seeds = [
        np.mean([replicates[key] for key in keys], axis=0)
        for _, keys in trials.groupby("seed")["key"]
    ]
    return interval(np.mean(seeds, axis=0))


def _replicates(results: Results, key: str) -> NDArray[np.float64] | None:
    scored = results.scored(key)
    if scored is None or not np.isfinite(scored.scores).all():
        return None
    if set(scored.labels.tolist()) != {0, 1}:
        return None
    return auroc_replicates(scored.labels, scored.scores, image_counts(scored.names))
