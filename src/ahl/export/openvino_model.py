"""The scoring graph as an OpenVINO model, made from the ONNX one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ahl.errors import ConfigurationError
from ahl.export.onnx_model import without_resize
from ahl.runtime.artefact import Graph


def require_openvino() -> None:
    """Refuse at once what could not be finished.

    Raises:
        ConfigurationError: if OpenVINO is not installed.
    """
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "Exporting for OpenVINO needs it: pip install 'ahl[openvino]'."
        ) from error


def openvino_graph(model: Any, side: int) -> Graph:  # noqa: ANN401 - onnx.ModelProto
    """Convert an ONNX model; images may be of any size, and are resized as Pillow does.

    Args:
        model: of any precision.
        side: in pixels, of the square that images are resized to.

    Raises:
        ConfigurationError: if OpenVINO does not know a part of the model.
    """
    import openvino
    from openvino.preprocess import PrePostProcessor, ResizeAlgorithm

    plain = without_resize(model, side)
    names = [output.name for output in plain.graph.output]
    try:
        converted = openvino.Core().read_model(plain.SerializeToString())
        for output, name in zip(converted.outputs, names, strict=True):
            output.get_tensor().set_names({name})
        steps = PrePostProcessor(converted)
        given = steps.input().tensor()
        given.set_element_type(openvino.Type.u8)
        given.set_layout(openvino.Layout("NHWC"))
        given.set_shape([-1, -1, -1, 3])
        steps.input().model().set_layout(openvino.Layout("NHWC"))
        steps.input().preprocess().resize(ResizeAlgorithm.RESIZE_BILINEAR_PILLOW)
        converted = steps.build()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.xml"
            openvino.serialize(converted, str(file))
            return Graph(
                format="openvino",
                data=file.read_bytes(),
                weights=file.with_suffix(".bin").read_bytes(),
            )
    except ConfigurationError:
        raise
    except Exception as error:  # its own kinds
        raise ConfigurationError(f"OpenVINO does not take this model: {error}") from error
