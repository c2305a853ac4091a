"""The scoring graph as an ONNX model."""

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

from ahl._common.errors import ConfigurationError
from ahl._common.types import ImageSize
from ahl.apps.export.graph import ScoringGraph
from ahl.apps.export.resizing import SingleResize, other_size
from ahl.scoring.runtime.artefact import METADATA_KEY, RESIZED, Description
from ahl.scoring.runtime.messages import first_line

OPSET: Final = 20
"""Of the ONNX operators; ONNX Runtime reads it from 1.17 on."""

_IMAGES: Final = "images"
_BACKBONE: Final = "backbone"


def onnx_model(graph: ScoringGraph) -> Any:  # noqa: ANN401 - onnx.ModelProto
    """Trace the graph; images may then be of any size.

    Returns:
        the ONNX model, single precision.

    Raises:
        ConfigurationError: if what writes ONNX is not installed, or the backbone has a part that it
            does not know.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch.onnx needs it
    except ImportError as error:
        raise ConfigurationError(
            "Exporting needs two packages: pip install 'ahl[onnx]'."
        ) from error
    example = torch.zeros(2, *graph.image_size, 3, dtype=torch.uint8)
    model = _traced(graph, example, RESIZED, graph.outputs, ("batch",))
    # Where a graph came from is of no use to who runs it, and names files of this machine.
    for node in model.graph.node:
        scopes = [entry.value for entry in node.metadata_props if entry.key.endswith("name_scopes")]
        del node.metadata_props[:]
        node.doc_string = _BACKBONE if scopes and f"'{_BACKBONE}" in scopes[0] else ""
    for holder in (model, model.graph, *model.graph.value_info, *model.graph.initializer):
        if hasattr(holder, "metadata_props"):
            del holder.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    model.producer_name, model.producer_version = "ahl", ""
    model.graph.name = "ahl"
    _resizing(model, graph.image_size)
    onnx.checker.check_model(model)
    return model


def _traced(
    module: torch.nn.Module,
    example: torch.Tensor,
    given: str,
    outputs: Sequence[str],
    free: Sequence[str],
) -> Any:  # noqa: ANN401 - onnx.ModelProto
    """A module as ONNX; its first dimensions, by name, are free."""
    with _quiet():
        try:
            traced = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[given],
                output_names=list(outputs),
                dynamic_shapes=({i: torch.export.Dim(name) for i, name in enumerate(free)},),
                verbose=False,
            )
        except Exception as error:  # of many kinds, and long
            raise ConfigurationError(
                f"This model cannot be written as ONNX: {first_line(error)}. Its backbone does "
                "something that torch.onnx does not know; convolutional networks can be exported."
            ) from error
    if traced is None:
        raise ConfigurationError("torch.onnx gave no graph; install a newer torch.")
    return traced.model_proto


def with_plain_resize(model: Any, size: ImageSize) -> Any:  # noqa: ANN401
    """A copy that resizes with products and sums alone, for runtimes whose own resize is another.

    Args:
        model: from `onnx_model`.
        size: height and width of its images.
    """
    import onnx

    example = torch.zeros(2, *other_size(size), 3, dtype=torch.uint8)
    free = ("batch", "height", "width")
    resize = _traced(SingleResize(size), example, _IMAGES, [RESIZED], free)
    resize = onnx.compose.add_prefix(resize, "resize_", rename_inputs=False, rename_outputs=False)
    plain = without_resize(model, size)
    plain.ir_version = resize.ir_version
    names = [output.name for output in plain.graph.output]
    return onnx.compose.merge_models(resize, plain, io_map=[(RESIZED, RESIZED)], outputs=names)


def _resizing(model: Any, size: ImageSize) -> None:  # noqa: ANN401
    """Put a resize before the graph: as Pillow's, bilinear with antialiasing, rounded to uint8."""
    from onnx import TensorProto, helper

    constants = [
        helper.make_tensor("ahl_first", TensorProto.INT64, [1], [0]),
        helper.make_tensor("ahl_side", TensorProto.INT64, [3], [*size, 3]),
    ]
    nodes = [
        helper.make_node("Shape", [_IMAGES], ["ahl_shape"], name="ahl_shape"),
        helper.make_node("Gather", ["ahl_shape", "ahl_first"], ["ahl_count"], name="ahl_count"),
        helper.make_node(
            "Concat", ["ahl_count", "ahl_side"], ["ahl_size"], axis=0, name="ahl_size"
        ),
        helper.make_node(
            "Resize",
            [_IMAGES, "", "", "ahl_size"],
            [RESIZED],
            name="ahl_resize",
            mode="linear",
            antialias=1,
            exclude_outside=1,
            coordinate_transformation_mode="half_pixel",
        ),
    ]
    del model.graph.input[:]
    model.graph.input.append(
        helper.make_tensor_value_info(_IMAGES, TensorProto.UINT8, ["batch", "height", "width", 3])
    )
    model.graph.initializer.extend(constants)
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes + rest)


def without_resize(model: Any, size: ImageSize) -> Any:  # noqa: ANN401
    """A copy that takes images of the model's own size only."""
    import onnx
    from onnx import TensorProto, helper

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = [node for node in copy.graph.node if not node.name.startswith("ahl_")]
    constants = [one for one in copy.graph.initializer if one.name not in ("ahl_first", "ahl_side")]
    del copy.graph.node[:], copy.graph.input[:], copy.graph.initializer[:]
    copy.graph.node.extend(kept)
    copy.graph.initializer.extend(constants)  # of those left over, ONNX Runtime would warn
    copy.graph.input.append(
        helper.make_tensor_value_info(RESIZED, TensorProto.UINT8, ["batch", *size, 3])
    )
    return copy


def half_precision(model: Any) -> Any:  # noqa: ANN401
    """The backbone's weights in half precision, its arithmetic in single: half the size."""
    import onnx
    from onnx import helper, numpy_helper

    used = _backbone_inputs(model)
    casts = []
    for initializer in model.graph.initializer:
        if initializer.name in used and initializer.data_type == onnx.TensorProto.FLOAT:
            name = initializer.name
            values = numpy_helper.to_array(initializer).astype(np.float16)
            half = numpy_helper.from_array(values, f"{name}_half")
            initializer.CopyFrom(half)
            casts.append(
                helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT)
            )
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + rest)
    return model


def eight_bits(
    model: Any,  # noqa: ANN401
    size: ImageSize,
    images: Sequence[NDArray[np.uint8]],
) -> Any:  # noqa: ANN401
    """The backbone's convolutions and products in 8 bits, ranges taken from images.

    All behind the backbone stays in single precision: it is small, and decides.

    Args:
        model: in single precision.
        size: height and width of the images that it takes.
        images: (*size, 3), what it will see.
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
            return None if image is None else {RESIZED: image[None]}

    plain = without_resize(model, size)
    inside = []
    for number, node in enumerate(plain.graph.node):
        node.name = node.name or f"node_{number}"
        if node.doc_string == _BACKBONE and node.op_type in ("Conv", "MatMul", "Gemm"):
            inside.append(node)
    # What sees the pixels themselves stays, at both scales: it loses most, and is a small part.
    first = inside[0].input[1] if inside else ""
    behind = [node for node in inside if node.input[1] != first]
    chosen = [node.name for node in behind or inside]
    if not chosen:
        raise ConfigurationError("The backbone has no convolution that could have 8 bits.")
    with tempfile.TemporaryDirectory() as folder, _quiet():
        given, result = Path(folder) / "given.onnx", Path(folder) / "result.onnx"
        onnx.save(plain, str(given))
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
        quantised = onnx.load(str(result))
    _resizing(quantised, size)
    return quantised


def described(model: Any, description: Description) -> bytes:  # noqa: ANN401
    """The model as bytes, with its description in the metadata."""
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


def _backbone_inputs(model: Any) -> set[str]:  # noqa: ANN401
    inside = (node for node in model.graph.node if node.doc_string == _BACKBONE)
    return {name for node in inside for name in node.input}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the many lines that exporters print and log."""
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
