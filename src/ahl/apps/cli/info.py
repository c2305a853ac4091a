"""`ahl info`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ahl._common.text import megabytes, short
from ahl.apps.cli.common import LONGEST_VALUE, print_json, stdout_console, value_table
from ahl.apps.cli.groups import existing_model, json_flag
from ahl.apps.cli.options import option, options, takes

if TYPE_CHECKING:
    from ahl._common.history import EpochRecord


@options
class InfoOptions:
    """The options of `ahl info`."""

    files: bool = option("List the training files too (always in JSON).", default=False)
    as_json: bool = json_flag()


@click.command()
@existing_model
@takes(InfoOptions)
def info(model: Path, options: InfoOptions) -> None:
    """Show how a model was made: settings, training images, threshold.

    The training losses are drawn, too. For an exported model: its card, and the largest differences
    between its scores and those of the model itself.
    """
    from ahl.scoring.artefact import is_exported
    from ahl.scoring.opening import check_torch

    if is_exported(model):
        from ahl.apps.cli.export import show_exported

        show_exported(model, as_json=options.as_json)
        return
    check_torch(model)
    from ahl.model.trained import TrainedModel

    loaded = TrainedModel.load(model)
    header = loaded.header()
    header["bytes"] = model.stat().st_size
    header["heads"] = list(loaded.detector.head_names)
    header["feature_maps"] = [list(scale) for scale in loaded.layout.scales]
    if options.as_json:
        print_json(header)
        return
    _show(header, loaded.history)
    if options.files:
        for file in header["manifest"]["files"]:
            line = f"{file['sha256'][:12]}  {file['class_name']:<16}  {file['name']}"
            click.echo(short(line, LONGEST_VALUE))


def _show(header: dict[str, Any], history: Sequence[EpochRecord]) -> None:
    from ahl.apps.report.training_plots import curve_tables
    from ahl.config.image_size import in_pixels

    manifest, features = header["manifest"], header["config"]["features"]
    backbone, size = header["backbone"], features["image_size"]
    unseen = "none: trained on feature maps"
    drawn = f" from {manifest['known_class']}" if manifest["known_class"] else ""
    rows = {
        "file size": megabytes(header["bytes"]),
        "made by": f"ahl {header['ahl_version']}, seed {header['seed']}",
        "base detector": f"{header['base']} ({', '.join(header['heads'])})",
        "backbone": unseen if backbone is None else _backbone(backbone),
        "image size": unseen if size is None else in_pixels(size, features.get("tiles", 0)),
        "feature maps": ", ".join("x".join(map(str, scale)) for scale in header["feature_maps"]),
        "trained on": _trained_on(manifest),
        "anomalies drawn": f"{manifest['drawn']}{drawn}",
        "skipped images": str(manifest["skipped"]),
    }
    decision = header["decision"]
    if decision is not None:
        rows["threshold"] = (
            f"{decision['threshold']:.4f}, for false alarms of at most "
            f"{decision['max_false_alarm_rate']:.2%}, set on {decision['normals']} good images"
        )
    console = stdout_console()
    console.print(value_table(rows))
    for title, curves in curve_tables(history, ascii_only=console.options.ascii_only):
        console.print(f"\n{title}")
        console.print(curves)


def _trained_on(manifest: dict[str, Any]) -> str:
    """Numbers of images by class; those that the model was adapted to are listed apart."""
    files, earlier = manifest["files"], manifest["earlier"]
    parts = [files[:earlier], files[earlier:]] if earlier else [files]
    counts = [Counter(file["class_name"] for file in part) for part in parts]
    return "; adapted to ".join(
        ", ".join(f"{count} {name}" for name, count in sorted(one.items())) for one in counts
    )


def _backbone(backbone: dict[str, Any]) -> str:
    settings = backbone["settings"]
    name = settings.get("name", backbone["kind"])
    arguments = settings.get("arguments") or {}
    given = "".join(f" {key}={value}" for key, value in sorted(arguments.items()))
    return f"{name}{given}, weights {backbone['weights_sha256'][:12]}"
