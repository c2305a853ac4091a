"""The scoring graph as an OpenVINO model, made from the ONNX one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ahl._common.errors import ConfigurationError
from ahl._common.types import ImageSize
from ahl.apps.export.onnx_model import with_plain_resize
from ahl.scoring.runtime.artefact import Graph


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


def openvino_graph(model: Any, size: ImageSize) -> Graph:  # noqa: ANN401 - onnx.ModelProto
    """Convert an ONNX model; images may be of any size, and are resized as Pillow does.

    Args:
        model: of any precision.
        size: height and width that images are resized to.

    Raises:
        ConfigurationError: if OpenVINO does not know a part of the model.
    """
    import openvino

    # Its own resize as Pillow's takes seconds an image, and is up to two grey values off.
    resizing = with_plain_resize(model, size)
    names = [output.name for output in resizing.graph.output]
    try:
        converted = openvino.Core().read_model(resizing.SerializeToString())
        for output, name in zip(converted.outputs, names, strict=True):
            output.get_tensor().set_names({name})
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.xml"
            openvino.serialize(converted, str(file))
            return Graph(
                format="openvino",
                data=file.read_bytes(),
                weights=file.with_suffix(".bin").read_bytes(),
            )
    except Exception as error:  # its own kinds
        raise ConfigurationError(f"OpenVINO does not take this model: {error}") from error
