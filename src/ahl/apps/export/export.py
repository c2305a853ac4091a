"""Export: trace, write, score a sample through both paths, and only then let the file appear."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.errors import (
    ConfigurationError,
    DataError,
    ImageError,
    ModelFileError,
    ParityError,
)
from ahl._common.types import ImageSize
from ahl.apps.export.graph import ScoringGraph
from ahl.apps.export.onnx_model import described, eight_bits, half_precision, onnx_model
from ahl.apps.export.openvino_model import openvino_graph, require_openvino
from ahl.apps.export.parity import Parity, compare, compare_labelled, sample_images
from ahl.apps.export.pooling import pools_as_convolutions
from ahl.apps.export.torch_program import load_program, torch_program, write_program
from ahl.data import Dataset
from ahl.data.images.reading import read_pixels, resize_pixels
from ahl.model.trained import TrainedModel
from ahl.scoring.evaluation import evaluate
from ahl.scoring.outputs import SCORE, Outputs
from ahl.scoring.runtime.artefact import Description, Precision, write_onnx, write_openvino
from ahl.scoring.runtime.scorer import OnnxScorer
from ahl.scoring.torch_scorer import TorchScorer

ExportFormat = Literal["onnx", "openvino", "torch"]

RANGES: Final = 64
"""Good training images of the data that 8 bits take their ranges from."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """What was written.

    Attributes:
        output: the file.
        size: in bytes.
        parity: what was compared.
    """

    output: Path
    size: int
    parity: Parity


def export_model(
    model: TrainedModel,
    output: Path,
    *,
    format: ExportFormat,  # noqa: A002 - the command's own word
    precision: Precision = "fp32",
    data: Dataset | None = None,
    callback: Callback | None = None,
) -> Export:
    """Write a trained model for another runtime.

    Args:
        model: trained on images.
        output: the file, replaced at once when it is complete and has been compared.
        format: which runtime.
        precision: of the backbone; all behind it is in single precision.
        data: labelled images to compare on; those that the model was trained on are left out. For
            8 bits also what their ranges are taken from: good images of the training part.
        callback: receives progress.

    Raises:
        ConfigurationError: if the options do not go together, or a package is lacking, or the
            backbone has a part that the runtime does not know.
        DataError: if 8 bits are asked for without labelled images.
        NotFittedError: if the model was trained on feature maps.
        ParityError: if the exported model does not score as the model itself does.
        ModelFileError: if the file cannot be written.
    """
    if format == "torch" and precision != "fp32":
        raise ConfigurationError("A torch program has --precision fp32; the others are for onnx.")
    if precision == "int8" and data is None:
        raise DataError(
            "8 bits are chosen and judged by labelled images: give --data FOLDER, laid out as for "
            "training (good/ and a folder for each kind of defect)."
        )
    callback = callback or Callback()
    scorer = TorchScorer(model, torch.device("cpu"))
    graph = ScoringGraph(model)
    description = Description(card=scorer.card, precision=precision)
    callback.on_stage("tracing", 0, 1)
    build = _builder(graph, format, precision, data)
    callback.on_stage("tracing", 1, 1)
    if model.decision is None:
        callback.on_note(
            "The model has no threshold, and the exported one gets none later: nothing is called "
            "anomalous, and `ahl watch` does not take it. Set one first with `ahl threshold`."
        )
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "trial"
        build(trial, description)
        try:
            exported = _computer(trial, format)
            parity = compare(
                lambda pixels: scorer.compute(pixels, heat_maps=True, nearest=True),
                exported,
                sample_images(scorer.card),
                graph.image_size,
            )
        except ModelFileError as error:  # a backbone of somebody's own that fixes a size, say
            raise ParityError(
                f"The traced graph does not run, and was not written: {error}"
            ) from error
        if data is not None:
            parity = _on_labelled(parity, scorer, exported, data, callback)
        parity.check(precision)
    build(output, replace(description, parity=parity.values()))
    return Export(output=output, size=output.stat().st_size, parity=parity)


def _builder(
    graph: ScoringGraph, format_: ExportFormat, precision: Precision, data: Dataset | None
) -> Callable[[Path, Description], None]:
    """Trace once; what comes back writes the result with a description."""
    if format_ == "torch":
        program = torch_program(graph)
        return lambda path, description: write_program(path, program, description)
    if format_ == "openvino":
        require_openvino()
    model: Any = onnx_model(graph)
    if format_ == "onnx":
        model = pools_as_convolutions(model)
    if precision == "fp16":
        model = half_precision(model)
    elif precision == "int8" and data is not None:
        model = eight_bits(model, graph.image_size, _ranges(data, graph.image_size))
    if format_ == "onnx":
        return lambda path, description: write_onnx(path, described(model, description))
    converted = openvino_graph(model, graph.image_size)
    return lambda path, description: write_openvino(path, converted, description)


def _computer(path: Path, format_: ExportFormat) -> Callable[[NDArray[np.uint8]], Outputs]:
    """Whoever computes the outputs of a written artefact."""
    if format_ == "torch":
        return load_program(path)
    exported = OnnxScorer(path, threads=torch.get_num_threads())
    return lambda pixels: exported.compute(pixels, heat_maps=True, nearest=True)


def _ranges(data: Dataset, size: ImageSize) -> list[NDArray[np.uint8]]:
    """Good images of the training part, evenly spaced, at the model's size."""
    samples = data.train_normals or data.test_normals
    chosen = np.linspace(0, len(samples) - 1, min(RANGES, len(samples))).round().astype(int)
    found = []
    for number in chosen:
        try:
            found.append(resize_pixels(read_pixels(samples[number].source), size))
        except ImageError:
            continue
    if not found:
        raise DataError(f"{data.root} holds no readable good image.")
    return found


def _on_labelled(
    parity: Parity,
    scorer: TorchScorer,
    exported: Callable[[NDArray[np.uint8]], Outputs],
    data: Dataset,
    callback: Callback,
) -> Parity:
    """The parity with what labelled images say."""
    result = evaluate(
        scorer, data, progress=lambda done, total: callback.on_stage("own scores", done, total)
    )
    samples = [one.sample for one in result.scored]
    labels = [sample.is_anomaly for sample in samples]
    if len(set(labels)) < 2:
        raise DataError(f"{data.root} has untested images of one kind only; both are needed.")
    scores = []
    for number, sample in enumerate(samples):
        pixels = resize_pixels(read_pixels(sample.source), scorer.card.image_size)
        scores.append(float(exported(pixels[None])[SCORE][0]))
        callback.on_stage("exported scores", number + 1, len(samples))
    own = [one.score for one in result.scored]
    return compare_labelled(parity, own, scores, labels, scorer.card.decision)
