"""Words of `ahl export` and `ahl info` for an exported model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ahl._common.errors import ModelFileError
from ahl._common.text import megabytes
from ahl.apps.cli.common import make_table, print_json, stdout_console


def show_exported(path: Path, *, as_json: bool) -> None:
    """Print an exported model's card and parity.

    Raises:
        ConfigurationError: if its runtime is not installed.
        ModelFileError: if it is no whole artefact.
    """
    from ahl.config.image_size import in_pixels
    from ahl.scoring.onnx_scorer import OnnxScorer

    description = OnnxScorer(path, threads=1).description
    card, size = description.card, path.stat().st_size
    try:
        compared = parity_lines(description.parity)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path} does not say how it was compared: {error!r}") from error
    if as_json:
        print_json(
            {
                **card.facts(),
                "precision": description.precision,
                "parity": dict(description.parity),
                "bytes": size,
            }
        )
        return
    decision = card.decision
    rows = {
        "file size": megabytes(size),
        "exported": f"{description.precision}, by ahl {card.version}",
        "base detector": f"{card.base} ({', '.join(card.heads)})",
        "backbone": card.backbone,
        "image size": in_pixels(card.image_size),
        "trained on": f"{card.normals} good images, {card.anomalies} anomalies "
        f"({', '.join(card.classes)})",
        "threshold": "none"
        if decision is None
        else f"{decision.threshold:.4f}, for false alarms of at most "
        f"{decision.max_false_alarm_rate:.2%}",
        "model": card.sha256[:16],
    }
    stdout_console().print(make_table(["", ""], rows.items()))
    for line in compared:
        click.echo(line)


def parity_lines(parity: Mapping[str, Any]) -> list[str]:
    """The comparison at export, for people."""
    differences = ", ".join(
        f"{str(name).replace('_', ' ')} {float(value):.1g}"
        for name, value in parity["differences"].items()
    )
    lines = [
        f"Compared on {parity['images']} images; largest differences, relative to the value or to "
        f"1: {differences}."
    ]
    if parity["auroc"] is not None:
        lines.append(
            f"AUROC on {parity['labelled']} labelled images: {parity['auroc_exported']:.4f}, the "
            f"model's own {parity['auroc']:.4f}."
        )
    if parity["other_side"] is not None:
        lines.append(
            f"Of these, {parity['other_side']} lie on the other side of the threshold than before."
        )
    return lines
