"""Trials of a benchmark, in the order in which they are run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ahl._common.errors import ConfigurationError
from ahl._common.schema import json_hash
from ahl.benchmark.methods import Method
from ahl.benchmark.protocol import BenchmarkDataset, Draw, plan_draws, plan_transfers
from ahl.benchmark.variants import Variant
from ahl.config import DEFAULT_BACKBONE, Config, default
from ahl.data import Dataset, Setting
from ahl.features.backbones import PACKAGED, Backbone
from ahl.features.backbones.choice import BackboneChoice
from ahl.heads import BaseDetector

BENCHMARK_VERSION = 3
"""Version number, raised when equal configs no longer give the same figures."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A method variant on a draw.

    Attributes:
        draw: the draw of training anomalies.
        variant: the method variant.
        key: hash of everything that its figures depend on.
        config: all constants.
    """

    draw: Draw
    variant: Variant
    key: str
    config: Config

    @property
    def label(self) -> str:
        """The trial in words."""
        return f"{self.draw.label} {self.variant.text}"


@dataclass(frozen=True, kw_only=True)
class TrialBatch:
    """Trials on one draw that share their features; either all or none see every class.

    In a transfer, `source` is the dataset to train on and `dataset` the target. If the backbone is
    fine-tuned, `heads` is the base detector whose loss does it, and `key` identifies its weights.
    """

    dataset: Dataset
    source: Dataset | None = None
    draw: Draw
    trials: tuple[Trial, ...]
    heads: type[BaseDetector] | None = None
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark to run.

    Attributes:
        datasets: the datasets.
        methods: method variants, `NAME` or `NAME,SECTION.FIELD=VALUE,...`.
        settings: the protocol's settings, general and hard.
        anomalies: values of M.
        seeds: seeds of the draws.
        backbone: the backbone that makes the features.
        config: all constants, before the variants' own settings.
        device: device of backbone and methods.
        cache: folder of the feature stores, as for `ahl.AHL`.
        further: the caller's own methods, which variants may name.
        transfer: True to train on each dataset and adapt to each other one, instead of `settings`.
        finetune: fine-tune the backbone for each draw and base detector (stage 0 of the paper).
    """

    datasets: Sequence[BenchmarkDataset]
    methods: Sequence[str]
    settings: Sequence[Setting] = ("general",)
    anomalies: Sequence[int] = (10,)
    seeds: Sequence[int] = (0, 1, 2)
    backbone: BackboneChoice = field(
        default_factory=lambda: BackboneChoice(backbone=DEFAULT_BACKBONE)
    )
    config: Config = field(default_factory=default)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    cache: str | Path | None = "auto"
    further: tuple[Method, ...] = ()
    transfer: bool = False
    finetune: bool = False


def plan(benchmark: Benchmark, context: dict[str, Any]) -> Iterator[TrialBatch]:
    """Yield all trials, draw by draw.

    Raises:
        ConfigurationError: if a method or setting is unknown, or unsuitable for a transfer or for
            fine-tuned features.
        DataError: if an image file no longer exists.
    """
    variants = checked_variants(
        benchmark.methods,
        benchmark.config,
        benchmark.further,
        transfer=benchmark.transfer,
        finetune=benchmark.finetune,
    )
    fingerprints = {dataset.name: dataset.fingerprint() for dataset in benchmark.datasets}

    def batch(
        dataset: Dataset,
        draw: Draw,
        chosen: Sequence[Variant],
        fingerprint: dict[str, Any],
        source: Dataset | None = None,
    ) -> TrialBatch:
        values, first = context | fingerprint, chosen[0]
        heads, key = first.method.heads if benchmark.finetune else None, ""
        if heads is not None:
            stage = {
                "version": BENCHMARK_VERSION,
                "split": asdict(draw),
                "every class": first.sees_every_class,
                "heads": heads.name,
                "config": benchmark.config.to_dict(),
                "context": values,
            }
            key = json_hash(stage)[:24]
            values = values | {"finetuned": key}
        trials = tuple(make_trial(draw, one, benchmark.config, values) for one in chosen)
        return TrialBatch(
            dataset=dataset, source=source, draw=draw, trials=trials, heads=heads, key=key
        )

    if benchmark.transfer:
        both = {"datasets": sorted(fingerprints.values())}
        for source, target, draw in plan_transfers(
            benchmark.datasets, benchmark.anomalies, benchmark.seeds
        ):
            yield batch(target, draw, variants, both, source)
        return
    groups: dict[object, list[Variant]] = {}
    for one in sorted(variants, key=lambda one: one.sees_every_class):
        heads = one.method.heads if benchmark.finetune else None
        groups.setdefault((one.sees_every_class, heads), []).append(one)
    for dataset in benchmark.datasets:
        own = {"dataset": fingerprints[dataset.name]}
        for subset, draw in plan_draws(
            dataset, benchmark.settings, benchmark.anomalies, benchmark.seeds
        ):
            yield from (batch(subset, draw, chosen, own) for chosen in groups.values())


def checked_variants(
    methods: Sequence[str],
    config: Config,
    further: tuple[Method, ...] = (),
    *,
    transfer: bool,
    finetune: bool,
) -> list[Variant]:
    """Parse and check the method variants of a run.

    Raises:
        ConfigurationError: if a method or setting is unknown, or unsuitable for such a run.
    """
    variants = [Variant.parse(text, further) for text in methods]
    for variant in variants:
        variant.configure(config)
    if finetune:
        _check_finetuning(variants, transfer=transfer)
    if transfer:
        _check_transfer([variant.method for variant in variants])
    return variants


def make_trial(draw: Draw, variant: Variant, config: Config, context: dict[str, Any]) -> Trial:
    """Make a trial with its key.

    Args:
        draw: the draw of training anomalies.
        variant: the method variant.
        config: the run's config, before the variant's own settings.
        context: other dependencies of the figures as JSON values: dataset, backbone, device.
    """
    own = variant.configure(config)
    values: dict[str, Any] = {
        "version": BENCHMARK_VERSION,
        "draw": asdict(draw),
        "method": variant.method.name,
        "config": own.to_dict(),
        "context": context,
    }
    plain = replace(variant, text=variant.method.name)
    if variant.written and own == plain.configure(config):  # a row of its own in a sweep
        values["restated"] = sorted(f"{name}={value!r}" for name, value in variant.settings)
    return Trial(draw=draw, variant=variant, key=json_hash(values)[:24], config=own)


def run_context(benchmark: Benchmark) -> dict[str, Any]:
    """Dependencies of all trials besides dataset and config: backbone and device."""
    choice = benchmark.backbone
    if isinstance(choice.backbone, Backbone):
        backbone: dict[str, Any] = asdict(choice.backbone.describe())
    else:
        backbone = {
            "name": choice.backbone,
            "weights": _weights_identity(choice.backbone, choice.weights),
            "arguments": {key: repr(value) for key, value in sorted(choice.arguments.items())},
            "stages": choice.stages,
        }
    return {"backbone": backbone, "device": benchmark.device.type}


def _check_transfer(methods: Sequence[Method]) -> None:
    bounds = dict.fromkeys(m.name for m in methods if m.labels == "every class")
    others = dict.fromkeys(m.name for m in methods if not m.transfers and m.name not in bounds)
    reasons = []
    if bounds:
        reasons.append(f"train on every class: {', '.join(bounds)}")
    if others:
        reasons.append(f"cannot be adapted to other normals: {', '.join(others)}")
    if reasons:
        raise ConfigurationError(
            f"A transfer cannot be measured with methods that {'; that '.join(reasons)}. Leave "
            "them out."
        )


def _check_finetuning(variants: Sequence[Variant], *, transfer: bool) -> None:
    if transfer:
        raise ConfigurationError(
            "A transfer is measured on frozen features; leave out --finetune or --transfer."
        )
    without = dict.fromkeys(one.method.name for one in variants if one.method.heads is None)
    if without:
        raise ConfigurationError(
            f"A backbone is fine-tuned by the loss of a base detector; {', '.join(without)} "
            "cannot take part: name the others with --method."
        )


def _weights_identity(name: str, weights: Path | None) -> str:
    if weights is None:
        packaged = PACKAGED.get(name)
        return packaged.sha256 if packaged else "timm"
    try:
        with weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigurationError(
            f"The weights {weights} cannot be read: {error.strerror}."
        ) from error
