"""What was run: versions, machine, sizes and times, for the foot of the report."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ahl._common.errors import ConfigurationError
from ahl._common.text import printable
from ahl._common.types import ImageSize
from ahl.benchmark.summary import Column, Summary
from ahl.config.image_size import in_pixels, read_size

NOTES = (
    "Figures are image-level AUROC: of each seed the mean over the classes drawn from (hard "
    "setting) and over the parts of a dataset; then the mean over the seeds, ± their standard "
    "deviation where there are at least two.",
    "In brackets stands the 95 % bootstrap interval over the test images, resampled 1,000 times, "
    "for all seeds and methods alike. It leaves out the chance of the draw and of training.",
    "That two intervals overlap is no proof of a tie, nor the other way round.",
    "The paper's figures come from its own backbone, fine-tuned at 448 pixels, and from its own "
    "draws; they stand beside ours for orientation, matched by the names of dataset and method.",
    "FS-DRA trains on every anomaly class: a bound, not a rival. The rows of the paper's ablation "
    "(+ HADG and its like) are AHL with some of its parts: neither AHL nor rivals. They are never "
    "set in bold, never counted as beating AHL, and take no part in the ranks.",
    "Seen and unseen: AUROC against the anomalies of classes with, and without, a training "
    "example. Seconds are training and scoring of one cell with the features cached; memory is "
    "the most that the process held, features included.",
)
"""How to read the figures."""


def run_facts(summary: Summary, configs: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of everything that says what was run.

    Args:
        summary: the results.
        configs: by hash, as `read_configs`.
    """
    records = summary.records
    seeds = sorted({record.seed for record in records})
    sizes = [r.image_size or _image_size(configs.get(r.config)) for r in records]
    facts = [
        ("Methods", f"{len(summary.entrants)}"),
        ("Datasets", _listed(column.dataset for column in summary.columns)),
        ("Seeds", f"{len(seeds)} ({_listed(map(str, seeds))})"),
        ("Cells", f"{len(records):,}"),
        ("Backbone", _listed(describe_backbone(r.context.get("backbone")) for r in records)),
        ("Image size", _listed(in_pixels(size) if size else "not known" for size in sizes)),
        ("Device", _listed(str(record.context.get("device")) for record in records)),
        ("Threads", _listed(str(record.context.get("threads")) for record in records)),
        ("Machine", _listed(str(record.context.get("machine")) for record in records)),
    ]
    for name in ("ahl", "torch", "numpy", "python"):
        facts.append((f"Version of {name}", _listed(str(r.context.get(name)) for r in records)))
    days = sorted({record.finished[:10] for record in records})
    facts += [
        ("Measured", days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"),
        ("Seconds in all", f"{sum(record.seconds for record in records):,.0f}"),
    ]
    if summary.replaced:
        facts.append(("Measured again", f"{summary.replaced} earlier records are left out"))
    return [(name, printable(value)) for name, value in facts]


def test_sizes(summary: Summary, column: Column) -> tuple[str, ...]:
    """What a column was tested on, each a number or a range over its cells.

    Returns:
        draws, training normals, tested normals, tested anomalies, duplicates left out of a test,
        images that could not be read.
    """
    records = summary.records_of(column)
    draws = {(record.subset, record.known_class, record.seed) for record in records}
    names = ("normals", "tested_normals", "tested_anomalies", "duplicates", "skipped")
    return (str(len(draws)), *(_range([getattr(r, name) for r in records]) for name in names))


def read_configs(folder: Path) -> dict[str, Any]:
    """The configs of a results folder by their hash; lines that are none are passed over."""
    found = {}
    try:
        lines = (folder / "configs.jsonl").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    for line in lines:
        try:
            values = json.loads(line)
            found[str(values["hash"])] = values["config"]
        except (ValueError, KeyError, TypeError):
            continue
    return found


def describe_backbone(backbone: object) -> str:
    """A backbone as it stands in a record's context, in a few words."""
    if not isinstance(backbone, dict):
        return str(backbone)
    values = dict(backbone)
    words = [str(values.pop("name", None) or values.pop("kind", "unnamed"))]
    for name in sorted(values):
        value = values[name]
        if value in (None, {}, []):
            continue
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        words.append(f"{name.replace('_', ' ')} {text[:12] if _is_hash(text) else text}")
    return ", ".join(words)


def _image_size(config: object) -> ImageSize | None:
    try:
        return read_size(config["features"]["image_size"])  # type: ignore[index]
    except (ConfigurationError, KeyError, TypeError):
        return None


def _is_hash(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _listed(values: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(values))


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
