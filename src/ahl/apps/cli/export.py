"""`ahl export`."""

from __future__ import annotations

from pathlib import Path

import click

from ahl._common.errors import ConfigurationError
from ahl.apps.cli.common import (
    check_writable,
    errors_as_messages,
    print_json,
    stderr_console,
    use_threads,
)
from ahl.apps.cli.exported import parity_lines
from ahl.apps.cli.groups import json_option, threads_option, trained_model


def _no_format(_context: click.Context, _parameter: click.Parameter, given: str | None) -> None:
    if given is not None:
        raise click.UsageError(
            "There is no --format any more: one ONNX file serves ONNX Runtime and OpenVINO. Leave "
            "the option out."
        )


@click.command()
@trained_model
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="File to write, such as parts.onnx.",
)
@click.option(
    "--int8", is_flag=True, help="Compute the backbone in 8 bits: half the file; needs --data."
)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Labelled folder to compare on, laid out as for training.",
)
@click.option("--format", expose_value=False, hidden=True, callback=_no_format)
@threads_option
@json_option
@errors_as_messages
def export(
    model: Path,
    output: Path,
    int8: bool,
    data: Path | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Write a MODEL as one ONNX file, for ONNX Runtime and OpenVINO: no torch is needed there.

    It takes images (N, height, width, 3), uint8, of the model's own size, and gives score, heads,
    evidence, heat maps and the nearest training images. Before the file appears, a sample is scored
    through both paths; where they differ by more than 1e-4, nothing is written. With --int8, AUROC
    on the data may drop by 0.005. The file carries the report; `ahl info FILE` shows it.

    \b
      ahl export parts.ahl --output parts.onnx
      ahl predict parts.onnx new/          # also where only onnxruntime is installed
      ahl predict parts.onnx new/ --device openvino

    A threshold belongs to the model: set it (`ahl threshold`) before you export. Needs pip install
    'ahl[onnx]'.
    """
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.apps.export.export import export_model
    from ahl.data import open_dataset
    from ahl.model.trained import TrainedModel
    from ahl.scoring.artefact import is_like_model_file

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
            int8=int8,
            data=None if data is None else open_dataset(data),
            callback=callback,
        )
    if as_json:
        print_json(
            {
                "output": str(result.output),
                "bytes": result.size,
                "parity": result.parity.values(),
            }
        )
        return
    click.echo(f"{result.output}: {result.size / 1e6:.1f} MB")
    for line in parity_lines(result.parity.values()):
        click.echo(line)
