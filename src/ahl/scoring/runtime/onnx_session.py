"""ONNX Runtime as what computes an artefact's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import ConfigurationError, ModelFileError
from ahl.scoring.runtime.artefact import METADATA_KEY, Description, Graph
from ahl.scoring.runtime.messages import first_line

_SPIN: Final = "50"
"""Microseconds for which a thread asks in a loop for its next piece of work, before it sleeps.

Enough while nothing else wants its core (ONNX Runtime by itself spins for far longer, and is 1 to 3
percent faster); where a service decodes and answers beside it, it would spin in their place.
Versions that do not know the option go on as they did.
"""


class OnnxSession:
    """Runs an ONNX graph.

    Args:
        graph: the artefact's.
        path: where it is from, for messages.
        threads: of the CPU; None takes all cores.

    Attributes:
        description: of the artefact.

    Raises:
        ConfigurationError: if ONNX Runtime is not installed.
        ModelFileError: if it does not read the graph, or that is none of ours.
    """

    def __init__(self, graph: Graph, path: Path, threads: int | None) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigurationError(
                f"{path} needs ONNX Runtime: pip install onnxruntime (or ahl[onnx])."
            ) from error
        onnxruntime.set_default_logger_severity(4)  # what fails is raised as well
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN)
        try:
            # From bytes, not by path: no other file can then be drawn in.
            self._session: Any = onnxruntime.InferenceSession(
                graph.data, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # its own kinds, of many causes
            raise ModelFileError(
                f"{path} is no graph that ONNX Runtime reads: {first_line(error)}"
            ) from error
        try:
            described = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
            inputs = [one.name for one in self._session.get_inputs()]
            self.outputs = tuple(output.name for output in self._session.get_outputs())
        except UnicodeDecodeError as error:
            raise ModelFileError(
                f"{path} holds names or metadata that are no text: {first_line(error)}."
            ) from error
        if described is None:
            raise ModelFileError(f"{path} is an ONNX file, but none that `ahl export` wrote.")
        if len(inputs) != 1:
            raise ModelFileError(f"{path} takes something else than images.")
        self.description = Description.read(described, path)
        self._input = inputs[0]
        self._options = onnxruntime.RunOptions()
        self._options.only_execute_path_to_fetches = True

    def run(self, pixels: NDArray[np.uint8], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Compute outputs by name of images (N, H, W, 3).

        Raises:
            ModelFileError: if the graph cannot.
        """
        try:
            found = self._session.run(list(wanted), {self._input: pixels}, self._options)
        except Exception as error:
            raise ModelFileError(f"The exported graph fails: {first_line(error)}") from error
        return dict(zip(wanted, found, strict=True))
