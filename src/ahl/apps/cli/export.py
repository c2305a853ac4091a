"""`ahl export`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ahl._common.errors import ConfigurationError, ModelFileError
from ahl._common.text import megabytes, short
from ahl.apps.cli.common import (
    LONGEST_VALUE,
    check_writable,
    print_json,
    stderr_console,
    stdout_console,
    suggest,
    tell,
    use_threads,
    value_table,
)
from ahl.apps.cli.groups import json_flag, thread_count, trained_model
from ahl.apps.cli.labelled import Labels
from ahl.apps.cli.options import EXISTING_FOLDER, option, options, takes


@options
class ExportOptions:
    """The options of `ahl export`."""

    output: Path = option(
        "File to write, such as parts.onnx.", "-o", type=click.Path(path_type=Path)
    )
    int8: bool = option(
        "Compute the backbone in 8 bits: half the file size; needs --data.", default=False
    )
    data: Path | None = option(
        "Labelled folder to compare on, laid out as for training.",
        default=None,
        type=EXISTING_FOLDER,
    )
    threads: int | None = thread_count()
    as_json: bool = json_flag()


@click.command()
@trained_model
@takes(ExportOptions)
def export(model: Path, options: ExportOptions) -> None:
    """Write MODEL as one ONNX file, which scores images without torch.

    ONNX Runtime and OpenVINO read it. It takes images (N, height, width, 3), uint8, of the model's
    own size, and returns score, heads, evidence, heat maps and the nearest training images. Before
    the file is written, some images are scored by both models; where they differ by more than 1e-4,
    nothing is written. With --int8, AUROC on the data may drop by 0.005. The file holds the result
    of the comparison; `ahl info FILE` shows it.

    \b
      ahl export parts.ahl --output parts.onnx
      ahl predict parts.onnx new/
      ahl predict parts.onnx new/ --device openvino

    Set the threshold (`ahl threshold`) before you export: an exported model cannot get one later.
    Needs pip install 'ahl[onnx]'.
    """
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.apps.export import export_model
    from ahl.model.trained import TrainedModel
    from ahl.scoring.artefact import is_like_model_file

    output, data = options.output, options.data
    check_writable(output)
    if output.exists() and is_like_model_file(output):
        raise ConfigurationError(
            f"{output} is a model file, which `ahl export` never overwrites; give another --output."
        )
    use_threads(options.threads)
    with ConsoleCallback(stderr_console(quiet=options.as_json)) as callback:
        result = export_model(
            TrainedModel.load(model),
            output,
            int8=options.int8,
            data=None if data is None else Labels().dataset(data, note=callback.on_note),
            callback=callback,
        )
    if options.as_json:
        print_json(
            {
                "output": str(result.output),
                "bytes": result.size,
                "parity": result.parity.values(),
            }
        )
        return
    click.echo(f"{result.output}: {megabytes(result.size)}")
    for line in parity_lines(result.parity.values()):
        tell(line)
    suggest("predict", result.output, "FILE_OR_FOLDER...")


def show_exported(path: Path, *, as_json: bool) -> None:
    """Print an exported model's card and parity.

    Raises:
        ModelFileError: if it is not a complete artefact.
    """
    from ahl.config.image_size import in_pixels
    from ahl.scoring.onnx_scorer import read_description

    description = read_description(path)
    card, size = description.card, path.stat().st_size
    try:
        compared = parity_lines(description.parity)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{path} holds no readable result of its comparison with the model: {error!r}. Export "
            "the model again."
        ) from error
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
    stdout_console().print(value_table(rows))
    for line in compared:
        tell(short(line, LONGEST_VALUE))


def parity_lines(parity: Mapping[str, Any]) -> list[str]:
    """Sentences for people on the comparison at export."""
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
            "Images on the other side of the threshold than with the model itself: "
            f"{parity['other_side']}."
        )
    return lines
