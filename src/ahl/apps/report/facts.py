"""What made a model and what made its report: configuration and environment."""

from __future__ import annotations

import json
import platform
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import torch

from ahl._common.version import __version__
from ahl.config.image_size import in_pixels
from ahl.model.trained import TrainedModel
from ahl.scoring.torch_scorer import TorchScorer

Facts = list[tuple[str, str]]


def model_facts(model: TrainedModel) -> Facts:
    """Name and value of what the model is and was trained on."""
    manifest = model.manifest
    own = Counter(file.class_name for file in manifest.files)
    trained = ", ".join(f"{count:,} {name}" for name, count in sorted(own.items()))
    drawn = "all that were there" if manifest.drawn == "all" else f"{manifest.drawn} setting"
    facts = [
        ("Base detector", f"{model.detector.name} ({', '.join(model.detector.head_names)})"),
        ("Backbone", _backbone(model)),
        ("Seed", str(model.seed)),
        ("Image size", in_pixels(model.config.features.size, model.config.features.tiles)),
        ("Trained on", trained or "feature maps"),
        ("Training anomalies", drawn),
    ]
    if manifest.known_class is not None:
        facts.append(("Known class", manifest.known_class))
    if manifest.skipped:
        facts.append(("Unreadable in training", f"{manifest.skipped:,}"))
    if manifest.earlier:
        facts.append(("Adapted", f"{manifest.earlier:,} of these are of earlier products"))
    decision = model.decision
    if decision is not None:
        source = "left out by turns in training" if decision.held_out else "not trained on"
        facts.append(
            (
                "Threshold",
                f"{decision.threshold:.4f}, for a false-alarm rate of at most "
                f"{decision.max_false_alarm_rate:.3g}, from {decision.normals:,} good images "
                f"{source}; 95 % interval of the rate {decision.false_alarm_rate_low:.3f} to "
                f"{decision.false_alarm_rate_high:.3f}",
            )
        )
    if decision is not None and decision.anomalies:
        facts.append(
            (
                "Misses expected",
                f"{decision.missed:,} of {decision.anomalies:,} labelled anomalies, each left out "
                "by turns in training, do not lie above it",
            )
        )
    return facts


def config_facts(model: TrainedModel) -> list[tuple[str, Facts]]:
    """The constants of the run: section, then name and value."""
    return [
        (section, [(name.replace("_", " "), _shown(value)) for name, value in values.items()])
        for section, values in model.config.to_dict().items()
    ]


def environment_facts(scorer: TorchScorer) -> Facts:
    """Name and value of what computed the report."""
    return [
        ("ahl", __version__),
        *((name, version(name)) for name in ("torch", "timm", "numpy", "pillow")),
        ("python", platform.python_version()),
        ("System", f"{platform.system()} {platform.machine()}"),
        ("Processor", processor()),
        ("Threads", str(torch.get_num_threads())),
        ("Device", str(scorer.extractor.device)),
    ]


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, as well as the system tells it."""
    try:
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or "unknown"


def _backbone(model: TrainedModel) -> str:
    if model.backbone is None:
        return "none: trained on feature maps"
    described = model.backbone.describe()
    settings = dict(described.settings)
    name = settings.pop("name", described.kind)
    rest = ", ".join(f"{key} {_shown(value)}" for key, value in settings.items() if value)
    return f"{name}, weights {described.weights_sha256[:12]}" + (f", {rest}" if rest else "")


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
