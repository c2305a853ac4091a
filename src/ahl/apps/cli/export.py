"""`ahl export`."""

from __future__ import annotations

from pathlib import Path

import click

from ahl._common.errors import ConfigurationError
from ahl._common.text import megabytes
from ahl.apps.cli.common import (
    check_writable,
    print_json,
    stderr_console,
    use_threads,
)
from ahl.apps.cli.exported import parity_lines
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
        "Compute the backbone in 8 bits: half the file; needs --data.", default=False
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
    from ahl.model.trained import TrainedModel
    from ahl.scoring.artefact import is_like_model_file

    output, data = options.output, options.data
    check_writable(output)
    if output.exists() and is_like_model_file(output):
        raise ConfigurationError(
            f"{output} is a model file, which no export replaces: name another --output."
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
        click.echo(line)
