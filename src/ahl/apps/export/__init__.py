"""Export of a trained model as one file for other runtimes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError, ImageError, ModelFileError, ParityError
from ahl._common.spacing import evenly_spaced
from ahl.apps.export.onnx_model import ScoringGraph, described, eight_bits, onnx_model
from ahl.apps.export.parity import Parity, compare, compare_labelled, sample_images
from ahl.data import Dataset
from ahl.data.images.reading import read_pixels
from ahl.data.images.resizing import resize_pixels
from ahl.model.card import ModelCard
from ahl.model.trained import TrainedModel
from ahl.scoring.artefact import Description, write_artefact
from ahl.scoring.evaluation import evaluate
from ahl.scoring.onnx_scorer import OnnxScorer
from ahl.scoring.torch_scorer import TorchScorer, require_score

RANGES: Final = 64
"""Most good training images of the data that the ranges for 8 bits are taken from."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """A written export.

    Attributes:
        output: the file.
        size: in bytes.
        parity: its comparison with the model itself.
    """

    output: Path
    size: int
    parity: Parity


def export_model(
    model: TrainedModel,
    output: Path,
    *,
    int8: bool = False,
    data: Dataset | None = None,
    callback: Callback | None = None,
) -> Export:
    """Write a trained model as one ONNX file, for ONNX Runtime and OpenVINO.

    Args:
        model: trained on images.
        output: the file, replaced only when the new one is complete and has been compared.
        int8: compute the backbone in 8 bits; all that follows stays in single precision.
        data: labelled images to compare on; those that the model was trained on are left out. For
            8 bits, good images of the training part also give the ranges.
        callback: receives progress.

    Raises:
        ConfigurationError: if a package is missing, or ONNX lacks a part of the backbone.
        DataError: if the model was trained on feature maps, 8 bits are asked for without labelled
            images, or the data lacks good images or anomalies that were not trained on.
        ParityError: if the exported model does not score as the model itself does.
        ModelFileError: if the file cannot be written.
    """
    if int8 and data is None:
        raise DataError(
            "--int8 needs labelled images to choose the 8-bit values and to compare the scores: "
            "give --data FOLDER, laid out as for training (good/ and a folder for each kind of "
            "defect)."
        )
    callback = callback or Callback()
    scorer = TorchScorer(model, torch.device("cpu"))
    callback.on_stage("tracing", 0, 1)
    graph = onnx_model(ScoringGraph(model))
    if int8 and data is not None:
        graph = eight_bits(graph, _range_images(data, scorer.card))
    callback.on_stage("tracing", 1, 1)
    if model.decision is None:
        callback.on_note(
            "The model has no threshold, and an exported model cannot get one later: it will "
            "call nothing anomalous, and `ahl watch` will refuse it. Set one first with `ahl "
            "threshold`."
        )
    description = Description(card=scorer.card, precision="int8" if int8 else "fp32")
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "trial"
        write_artefact(trial, described(graph, description))
        try:
            exported = OnnxScorer(trial, threads=torch.get_num_threads())
            parity = compare(
                partial(scorer.compute, heat_maps=True, nearest=True),
                partial(exported.compute, heat_maps=True, nearest=True),
                sample_images(scorer.card),
            )
        except ModelFileError as error:  # a backbone that fixes the number of images, say
            raise ParityError(
                f"The traced graph does not run, and was not written: {error}"
            ) from error
        if data is not None:
            parity = _on_labelled(parity, scorer, exported, data, callback)
    parity.check(description.precision)
    write_artefact(output, described(graph, replace(description, parity=parity.values())))
    return Export(output=output, size=output.stat().st_size, parity=parity)


def _range_images(data: Dataset, card: ModelCard) -> list[NDArray[np.uint8]]:
    """Good images of the training part, evenly spaced, at the model's size."""
    samples = data.train_normals or data.test_normals
    found = []
    for number in evenly_spaced(len(samples), RANGES):
        try:
            pixels = read_pixels(samples[number].source, bit_depth=card.bit_depth)
            found.append(resize_pixels(pixels, card.image_size))
        except ImageError:
            continue
    if not found:
        raise DataError(f"{data.root} holds no readable good image.")
    return found


def _on_labelled(
    parity: Parity, scorer: TorchScorer, exported: OnnxScorer, data: Dataset, callback: Callback
) -> Parity:
    """Add the scores of labelled images to the parity."""
    result = evaluate(
        scorer,
        data,
        progress=lambda done, total: callback.on_stage("own scores", done, total),
        callback=callback,
    )
    samples = [one.sample for one in result.scored]
    labels = [sample.is_anomaly for sample in samples]
    if len(set(labels)) < 2:
        raise DataError(
            f"{data.root} has only good images or only defects that were not trained on; both are "
            "needed."
        )
    scores = []
    for one in exported.predict([sample.source for sample in samples]):
        scores.append(require_score(one, samples[one.index].source))
        callback.on_stage("exported scores", len(scores), len(samples))
    own = [one.score for one in result.scored]
    return compare_labelled(parity, own, scores, labels, scorer.card.decision)
