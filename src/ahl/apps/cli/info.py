"""`ahl info`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ahl.apps.cli.common import (
    errors_as_messages,
    existing_model,
    json_option,
    print_json,
    stdout_console,
)

if TYPE_CHECKING:
    from ahl._common.history import EpochRecord


@click.command()
@existing_model
@click.option("--files", is_flag=True, help="List the training files too (always in JSON).")
@json_option
@errors_as_messages
def info(model: Path, files: bool, as_json: bool) -> None:
    """Show what a MODEL file holds: how it was made, on what, and how its losses fell.

    Of an exported one: what it is of, and how far its scores lay from the model's own.
    """
    from ahl.scoring.artefact import is_exported
    from ahl.scoring.opening import check_torch

    if is_exported(model):
        from ahl.apps.cli.exported import show_exported

        show_exported(model, as_json=as_json)
        return
    check_torch(model)
    from ahl.model.trained import TrainedModel

    loaded = TrainedModel.load(model)
    header = loaded.header()
    header["bytes"] = model.stat().st_size
    header["heads"] = list(loaded.detector.head_names)
    header["feature_maps"] = [list(scale) for scale in loaded.layout.scales]
    if as_json:
        print_json(header)
        return
    _show(header, loaded.history, files)


def _show(header: dict[str, Any], history: Sequence[EpochRecord], files: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    from ahl.apps.cli.curves import curve_tables
    from ahl.config.image_size import in_pixels

    console = stdout_console()
    manifest, config = header["manifest"], header["config"]
    backbone, size = header["backbone"], config["features"]["image_size"]
    rows = {
        "file size": f"{header['bytes'] / 1e6:.1f} MB",
        "made by": f"ahl {header['ahl_version']}, seed {header['seed']}",
        "base detector": f"{header['base']} ({', '.join(header['heads'])})",
        "backbone": "none: trained on feature maps" if backbone is None else _words(backbone),
        "image size": "none: trained on feature maps"
        if size is None
        else in_pixels(size, config["features"].get("tiles", 0)),
        "feature maps": ", ".join("x".join(map(str, scale)) for scale in header["feature_maps"]),
        "trained on": _trained_on(manifest),
        "anomalies drawn": manifest["drawn"]
        + (f" from {manifest['known_class']}" if manifest["known_class"] else ""),
        "skipped images": str(manifest["skipped"]),
    }
    decision = header["decision"]
    if decision is not None:
        rows["threshold"] = (
            f"{decision['threshold']:.4f}, for false alarms of at most "
            f"{decision['max_false_alarm_rate']:.2%}, set on {decision['normals']} good images"
        )
    table = Table(show_header=False)
    for name, value in rows.items():
        table.add_row(name, escape(value))
    console.print(table)
    for title, curves in curve_tables(history, ascii_only=console.options.ascii_only):
        console.print(f"\n{title}")
        console.print(curves)
    if files:
        for file in manifest["files"]:
            click.echo(f"{file['sha256'][:12]}  {file['class_name']:<16}  {file['name']}")


def _trained_on(manifest: dict[str, Any]) -> str:
    """Images by class; what the model was adapted to, which came last, apart from the rest."""
    files, earlier = manifest["files"], manifest["earlier"]
    parts = [files[:earlier], files[earlier:]] if earlier else [files]
    words = []
    for part in parts:
        counts = Counter(file["class_name"] for file in part)
        words.append(", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
    return "; adapted to ".join(words)


def _words(backbone: dict[str, Any]) -> str:
    settings = backbone["settings"]
    name = settings.get("name", backbone["kind"])
    arguments = settings.get("arguments") or {}
    given = "".join(f" {key}={value}" for key, value in sorted(arguments.items()))
    return f"{name}{given}, weights {backbone['weights_sha256'][:12]}"
