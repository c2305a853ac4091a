"""`ahl export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ahl._common.errors import ConfigurationError
from ahl.apps.cli.common import (
    check_writable,
    errors_as_messages,
    print_json,
    stderr_console,
    use_threads,
)
from ahl.apps.cli.groups import json_option, threads_option, trained_model

if TYPE_CHECKING:
    from ahl.apps.export.export import Export


@click.command()
@trained_model
@click.option(
    "--format",
    "format_",
    type=click.Choice(["onnx", "openvino", "torch"]),
    required=True,
    help="For which runtime.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="File to write, such as parts.onnx.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    default="fp32",
    show_default=True,
    help="Of the backbone. fp16 halves the file; int8 is also faster, and needs --data.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Labelled folder to compare on, laid out as for training.",
)
@threads_option
@json_option
@errors_as_messages
def export(
    model: Path,
    format_: str,
    output: Path,
    precision: str,
    data: Path | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Write a MODEL as one file that other runtimes score with, without torch.

    It takes images (N, height, width, 3), uint8, of any size, and gives score, heads, evidence,
    heat maps and likenesses. Before the file appears, a sample is scored through both paths; where
    they differ by more than 1e-4 (fp32), nothing is written. With int8, AUROC on the data may drop
    by 0.005. The file carries the report; `ahl info FILE` shows it.

    \b
      ahl export parts.ahl --format onnx --output parts.onnx
      ahl predict parts.onnx new/          # also where only onnxruntime is installed
      ahl export parts.ahl --format openvino --precision int8 --data parts/ --output parts.ov

    A threshold belongs to the model: set it (`ahl threshold`) before you export. torch is for
    programs of your own (torch.export.load); the other two are what `ahl predict`, `ahl serve` and
    `ahl watch` read. Needs pip install 'ahl[onnx]' or 'ahl[openvino]'.
    """
    from typing import cast

    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.apps.export.export import ExportFormat, export_model
    from ahl.data import open_dataset
    from ahl.model.trained import TrainedModel
    from ahl.scoring.runtime.artefact import Precision, is_like_model_file

    check_writable(output)
    if output.exists() and is_like_model_file(output):
        raise ConfigurationError(
            f"{output} is a model file, which no export replaces: name another --output."
        )
    use_threads(threads)
    with ConsoleCallback(stderr_console(quiet=as_json)) as callback:
        result = export_model(
            TrainedModel.load(model),
            output,
            format=cast("ExportFormat", format_),
            precision=cast("Precision", precision),
            data=None if data is None else open_dataset(data),
            callback=callback,
        )
    if as_json:
        print_json(_values(result))
    else:
        _show(result)


def _values(result: Export) -> dict[str, Any]:
    return {
        "output": str(result.output),
        "bytes": result.size,
        "parity": result.parity.values(),
    }


def _show(result: Export) -> None:
    from ahl.apps.cli.exported import parity_lines

    click.echo(f"{result.output}: {result.size / 1e6:.1f} MB")
    for line in parity_lines(result.parity.values()):
        click.echo(line)
