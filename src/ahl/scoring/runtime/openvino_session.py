"""OpenVINO as what computes an artefact's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import ConfigurationError, ModelFileError
from ahl._common.types import ImageSize
from ahl.scoring.runtime.artefact import RESIZED, Description, Graph
from ahl.scoring.runtime.messages import first_line


class OpenVinoSession:
    """Runs an OpenVINO graph.

    Args:
        graph: the artefact's.
        description: of the artefact.
        path: where it is from, for messages.
        threads: of the CPU; None takes all cores.

    Raises:
        ConfigurationError: if OpenVINO is not installed.
        ModelFileError: if it does not read the graph.
    """

    def __init__(
        self, graph: Graph, description: Description, path: Path, threads: int | None
    ) -> None:
        try:
            import openvino
        except ImportError as error:
            raise ConfigurationError(f"{path} needs OpenVINO: pip install openvino.") from error
        self.description = description
        self._openvino: Any = openvino
        # Processors that have bfloat16 would otherwise compute in it, and score differently.
        self._settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",
            # Two models compiled for one thread each would be tied to the same core.
            "ENABLE_CPU_PINNING": False,
        }
        if threads is not None:
            self._settings["INFERENCE_NUM_THREADS"] = threads
        self._core = openvino.Core()
        try:
            self._model = self._core.read_model(
                graph.data, openvino.Tensor(np.frombuffer(graph.weights, np.uint8))
            )
            self.outputs = tuple(output.any_name for output in self._model.outputs)
        except Exception as error:  # its own kinds, of many causes
            raise ModelFileError(
                f"{path} is no graph that OpenVINO reads: {first_line(error)}"
            ) from error
        self._compiled: dict[tuple[bool, tuple[str, ...]], Any] = {}

    def run(self, pixels: NDArray[np.uint8], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Compute outputs by name of images (N, H, W, 3).

        Raises:
            ModelFileError: if the graph cannot.
        """
        try:
            request = self._request(pixels.shape[1:3], tuple(wanted))
            found = request(pixels)
            return {name: np.array(found[name]) for name in wanted}
        except Exception as error:
            raise ModelFileError(f"The exported graph fails: {first_line(error)}") from error

    def _request(self, size: tuple[int, ...], wanted: tuple[str, ...]) -> Any:  # noqa: ANN401
        """The graph compiled for these outputs; for the model's own size, without a resize."""
        own_size = self.description.card.image_size
        own = size == own_size
        if (own, wanted) not in self._compiled:
            model = self._model.clone()
            results = [
                result
                for result in model.get_results()
                if result.get_output_tensor(0).any_name not in wanted
            ]
            for result in results:
                model.remove_result(result)
            if own:
                model = self._behind_resize(model, own_size)
            compiled = self._core.compile_model(model, "CPU", self._settings)
            self._compiled[own, wanted] = compiled
        return self._compiled[own, wanted]

    def _behind_resize(self, model: Any, size: ImageSize) -> Any:  # noqa: ANN401
        """The model from its resized images on; where none are found, with a fixed size."""
        for operation in model.get_ops():
            for output in operation.outputs():
                if RESIZED in output.get_names():
                    given = self._openvino.op.Parameter(
                        output.get_element_type(),
                        self._openvino.PartialShape([-1, *size, 3]),
                    )
                    for use in list(output.get_target_inputs()):
                        use.replace_source_output(given.output(0))
                    return self._openvino.Model(model.get_results(), [given], "ahl")
        model.reshape([-1, *size, 3])
        return model
