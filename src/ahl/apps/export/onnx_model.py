"""A trained model as an ONNX graph: uint8 images in, all outputs of scoring out."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ahl._common.errors import ConfigurationError, DataError
from ahl._common.text import first_line
from ahl.features.extractor import bounded_scales, enlarged_scale
from ahl.model.trained import TrainedModel
from ahl.scoring.artefact import METADATA_KEY, Description
from ahl.scoring.onnx_contents import ForeignContentError, check_contents
from ahl.scoring.torch_scorer import Forward

OPSET: Final = 20
"""Version of the ONNX operators; ONNX Runtime 1.17 and later read it."""

_IMAGES: Final = "images"
_BACKBONE: Final = "backbone"


class ScoringGraph(nn.Module):
    """Backbone, preparation, heads and calibration as one module, for batches of images.

    The arithmetic is that of `TorchScorer`, step by step; only the order of sums may differ with
    the number of images.

    Args:
        model: trained on images; its backbone is moved to the CPU.

    Attributes:
        outputs: names of the outputs, in order; see `ahl.scoring.scorer`.

    Raises:
        DataError: if it was trained on feature maps.
    """

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        if model.backbone is None:
            raise DataError(
                "This detector was trained on feature maps: there is no backbone to export."
            )
        self.backbone = model.backbone.eval().cpu()
        self.image_size = model.config.features.size
        self._tiles = model.config.features.tiles
        self._preparation = model.preparation
        self._forward = Forward(model)
        with torch.no_grad():  # what is computed once is then a constant of the graph
            found = self(torch.zeros(1, *self.image_size, 3, dtype=torch.uint8))
        self.outputs = tuple(found)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Score images (N, *image_size, 3), uint8; the outputs by name."""
        pixels = images.permute(0, 3, 1, 2).float() / 255.0
        scales = bounded_scales(self.backbone, pixels, self._tiles)
        enlarged = None
        if not self._tiles:
            enlarged = self._preparation.of_maps((enlarged_scale(self.backbone, pixels),))[0]
        return self._forward(
            self._preparation.of_maps(scales),
            enlarged=enlarged,
            heat_maps=True,
            nearest=True,
        )


def onnx_model(graph: ScoringGraph) -> Any:  # noqa: ANN401 - onnx.ModelProto
    """Trace the graph as an ONNX model, for any number of images.

    Returns:
        the ONNX model, single precision.

    Raises:
        ConfigurationError: if onnx or onnxscript is not installed, or the model has an operation
            that torch.onnx, or the reader of exports, does not support.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch.onnx needs it
    except ImportError as error:
        raise ConfigurationError(
            "Exporting needs two packages: pip install 'ahl[onnx]'."
        ) from error
    example = torch.zeros(2, *graph.image_size, 3, dtype=torch.uint8)
    with _quiet():
        try:
            traced = torch.onnx.export(
                graph,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[_IMAGES],
                output_names=list(graph.outputs),
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
        except Exception as error:  # of many kinds, and long
            raise ConfigurationError(
                f"This model cannot be written as ONNX: {first_line(error)}. Its backbone uses an "
                "operation that torch.onnx does not support; convolutional networks can be "
                "exported."
            ) from error
    if traced is None:
        raise ConfigurationError("torch.onnx returned no graph; install a newer torch.")
    model = traced.model_proto
    # Where a graph came from is of no use to who runs it, and names files of this machine.
    for node in model.graph.node:
        scopes = [entry.value for entry in node.metadata_props if entry.key.endswith("name_scopes")]
        del node.metadata_props[:]
        node.doc_string = _BACKBONE if scopes and f"'{_BACKBONE}" in scopes[0] else ""
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    for holder in (model, model.graph, *values, *model.graph.initializer):
        if hasattr(holder, "metadata_props"):
            del holder.metadata_props[:]
    model.producer_name, model.producer_version = "ahl", ""
    model.graph.name = "ahl"
    onnx.checker.check_model(model)
    try:
        check_contents(model.SerializeToString())
    except ForeignContentError as error:
        raise ConfigurationError(
            f"This model cannot be exported: {error}, so the exported file could not be opened "
            "(docs/export.md). If the backbone causes this, choose another one."
        ) from error
    return model


def eight_bits(model: Any, images: Sequence[NDArray[np.uint8]]) -> Any:  # noqa: ANN401
    """Quantise the backbone's convolutions and matrix products to 8 bits, ranges from images.

    What follows the backbone stays in single precision: it is small, and decides.

    Args:
        model: in single precision; its nodes get names.
        images: (*image_size, 3), such as it will see.

    Raises:
        ConfigurationError: if the backbone has no such operation.
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(images)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            image = next(self._left, None)
            return None if image is None else {_IMAGES: image[None]}

    inside = []
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{number}"
        if node.doc_string == _BACKBONE and node.op_type in ("Conv", "MatMul", "Gemm"):
            inside.append(node)
    # What sees the pixels themselves stays, at both scales: it loses most, and is a small part.
    first = inside[0].input[1] if inside else ""
    behind = [node for node in inside if node.input[1] != first]
    chosen = [node.name for node in behind or inside]
    if not chosen:
        raise ConfigurationError(
            "The backbone has no convolution to compute in 8 bits; leave out --int8."
        )
    with tempfile.TemporaryDirectory() as folder, _quiet():
        given, result = Path(folder) / "given.onnx", Path(folder) / "result.onnx"
        onnx.save(model, str(given))
        quantize_static(
            str(given),
            str(result),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_quantize=chosen,
        )
        return onnx.load(str(result))


def described(model: Any, description: Description) -> bytes:  # noqa: ANN401
    """Serialise the model, with its description in the metadata."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        node.doc_string = ""
    del copy.metadata_props[:]
    entry = copy.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, description.text()
    data: bytes = copy.SerializeToString(deterministic=True)
    return data


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the many lines that exporters print and log."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
