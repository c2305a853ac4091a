"""Scores images with an exported model in ONNX Runtime or OpenVINO, without torch."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import ConfigurationError, ModelFileError
from ahl._common.process_settings import memory_limited, usable_cores
from ahl._common.text import first_line
from ahl.model.card import ModelCard
from ahl.scoring.artefact import METADATA_KEY, Description, read_artefact
from ahl.scoring.onnx_contents import ForeignContentError, check_contents
from ahl.scoring.scorer import (
    ANOMALY,
    ANOMALY_DISTANCE,
    ANOMALY_LIKE,
    ANOMALY_PLACE,
    EVIDENCE,
    HEADS,
    HEAT_MAP,
    NORMAL,
    NORMAL_DISTANCE,
    SCORE,
    Outputs,
    Scorer,
)

_ROOM: Final = 2**30  # bytes of memory that opening may take, besides:
_EACH_PIXEL: Final = 2**11  # of one of the model's images, which is scored to try it
_EACH_CORE: Final = 2**24  # for its thread

AT_ONCE: Final = 448 * 448
"""Number of pixels of an image above which fewer images go through the graph together. A graph in
tiles holds all tiles of its images at once."""

_SPIN: Final = "50"
"""Microseconds for which a thread of ONNX Runtime spins before it sleeps. Its default is far
longer, which is 1 to 3 per cent faster if it runs alone, but blocks a service's other threads."""


class OnnxRuntimeSession:
    """A graph in ONNX Runtime.

    Args:
        data: bytes of the ONNX file.
        threads: number of CPU threads; None for all cores.

    Attributes:
        inputs: number of the graph's inputs.
        outputs: names of the graph's outputs.
    """

    def __init__(self, data: bytes, threads: int | None) -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)  # what fails is raised as well
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN)
        options.add_session_config_entry("session.load_model_format", "ONNX")
        self._session: Any = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        names = [one.name for one in self._session.get_inputs()]
        self._input, self.inputs = (names or [""])[0], len(names)
        self.outputs = [output.name for output in self._session.get_outputs()]
        self._options = onnxruntime.RunOptions()
        self._options.only_execute_path_to_fetches = True

    def run(self, pixels: NDArray[np.uint8], wanted: Sequence[str]) -> Outputs:
        """Compute outputs by name of images (N, H, W, 3)."""
        found = self._session.run(list(wanted), {self._input: pixels}, self._options)
        return dict(zip(wanted, found, strict=True))


class OpenVinoSession:
    """A graph in OpenVINO, with the arguments and attributes of `OnnxRuntimeSession`."""

    def __init__(self, data: bytes, threads: int | None) -> None:
        import openvino
        from openvino.frontend import FrontEndManager

        self._core = openvino.Core()
        self._settings: dict[str, Any] = {
            # Processors that have bfloat16 would otherwise compute in it, and score differently.
            "INFERENCE_PRECISION_HINT": "f32",
            # Two models compiled for one thread each would be tied to the same core.
            "ENABLE_CPU_PINNING": False,
        }
        if threads is not None:
            self._settings["INFERENCE_NUM_THREADS"] = threads
        # Of all formats that OpenVINO would recognise, this one alone.
        reader = FrontEndManager().load_by_framework("onnx")
        self._model = reader.convert(reader.load(io.BytesIO(data)))
        self.inputs = len(self._model.inputs)
        self.outputs = [output.any_name for output in self._model.outputs]
        self._compiled: dict[tuple[str, ...], Any] = {}

    def run(self, pixels: NDArray[np.uint8], wanted: Sequence[str]) -> Outputs:
        """Compute outputs by name of images (N, H, W, 3)."""
        if (names := tuple(wanted)) not in self._compiled:
            model = self._model.clone()
            for result in model.get_results():
                if result.get_output_tensor(0).any_name not in names:
                    model.remove_result(result)
            self._compiled[names] = self._core.compile_model(model, "CPU", self._settings)
        found = self._compiled[names](pixels)
        return {name: np.array(found[name]) for name in names}


class OnnxScorer(Scorer):
    """Scores images with an exported model.

    Args:
        path: the artefact.
        device: `auto` or `cpu` for ONNX Runtime, `openvino` for OpenVINO on the CPU.
        threads: number of CPU threads; None for all cores.

    Attributes:
        description: the artefact's card, precision and parity.

    Raises:
        ConfigurationError: if the runtime is not installed, or the device is another one.
        ModelFileError: if it is not a complete artefact, has contents that exports never have
            (`ahl.scoring.onnx_contents`), or its graph does not match its card.
    """

    batch_size = 16

    def __init__(self, path: Path, *, device: str = "auto", threads: int | None = None) -> None:
        if device not in ("auto", "cpu", "openvino"):
            raise ConfigurationError(
                f"device is {device!r}; an exported model takes auto or cpu (ONNX Runtime), or "
                "openvino."
            )
        self._path = path
        data = read_artefact(path)
        self.description = _description(path, data)
        room = _ROOM + 8 * len(data) + _EACH_PIXEL * math.prod(self.card.image_size)
        with memory_limited(room + _EACH_CORE * usable_cores()):
            self._session = _open_session(path, data, device == "openvino", threads)
            if self._session.inputs != 1:
                raise ModelFileError(f"{path} does not take images.")
            self._try()

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self.description.card

    def compute(
        self, pixels: NDArray[np.uint8], *, heat_maps: bool = False, nearest: bool = False
    ) -> Outputs:
        """Compute the outputs of images (N, *image_size, 3).

        Raises:
            ModelFileError: if the graph fails, or its outputs do not match its card.
        """
        wanted = self._wanted(heat_maps=heat_maps, nearest=nearest)
        parts = []
        larger = 1 + 4 * heat_maps  # a heat map takes the image enlarged as well
        together = max(1, self.batch_size * AT_ONCE // (larger * math.prod(self.card.image_size)))
        for start in range(0, len(pixels), together):
            some = pixels[start : start + together]
            try:
                found = self._session.run(some, wanted)
            except Exception as error:  # the runtime's own kinds, of many causes
                raise ModelFileError(f"The exported graph fails: {first_line(error)}") from error
            self._check(found, len(some))
            parts.append(found)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _wanted(self, *, heat_maps: bool, nearest: bool) -> list[str]:
        card = self.card
        wanted = [SCORE, HEADS]
        wanted += [EVIDENCE] if card.evidence else []
        wanted += [HEAT_MAP] if heat_maps else []
        if nearest and card.shown_normals:
            wanted += [NORMAL, NORMAL_DISTANCE]
        if nearest and card.shown_anomalies:
            wanted += [ANOMALY, ANOMALY_DISTANCE, ANOMALY_PLACE, ANOMALY_LIKE]
        return wanted

    def _try(self) -> None:
        """Refuse a graph whose outputs for a black image do not match its card."""
        wanted = self._wanted(heat_maps=True, nearest=True)
        if missing := set(wanted) - set(self._session.outputs):
            raise ModelFileError(
                f"{self._path} has no output {', '.join(sorted(missing))}; export the model again."
            )
        black = np.zeros((1, *self.card.image_size, 3), np.uint8)
        self.compute(black, heat_maps=True, nearest=True)

    def _check(self, found: Outputs, images: int) -> None:
        card = self.card
        shapes = {
            HEADS: (len(card.heads),),
            EVIDENCE: (len(card.evidence),),
            HEAT_MAP: card.image_size,
            **dict.fromkeys([ANOMALY_PLACE, ANOMALY_LIKE], (2,)),
        }
        shown = {NORMAL: len(card.shown_normals), ANOMALY: len(card.shown_anomalies)}
        for name, values in found.items():
            if values.shape != (images, *shapes.get(name, ())):
                raise ModelFileError(
                    f"{self._path} gives {name} of another shape than its card says."
                )
            if values.dtype.kind != ("i" if name in shown else "f"):
                raise ModelFileError(f"{self._path} gives {name} as another type than it should.")
            if name in shown and not ((values >= 0) & (values < shown[name])).all():
                raise ModelFileError(f"{self._path} names images that its card does not show.")


def read_description(path: Path) -> Description:
    """Read an artefact's description, without a runtime and without opening its graph.

    Raises:
        ModelFileError: if it is not a complete artefact, or has contents that exports never have.
    """
    return _description(path, read_artefact(path))


def _description(path: Path, data: bytes) -> Description:
    try:
        described = check_contents(data).get(METADATA_KEY)
    except ForeignContentError as error:
        raise ModelFileError(
            f"{path} is not opened: {error}. Export the model again with this version of ahl."
        ) from error
    if described is None:
        raise ModelFileError(f"{path} is an ONNX file, but not one that `ahl export` wrote.")
    return Description.read(described, path)


def _open_session(
    path: Path, data: bytes, in_openvino: bool, threads: int | None
) -> OnnxRuntimeSession | OpenVinoSession:
    """Open the file's graph in a runtime, and turn the runtime's errors into ours."""
    name, package = ("OpenVINO", "openvino") if in_openvino else ("ONNX Runtime", "onnxruntime")
    try:
        return (OpenVinoSession if in_openvino else OnnxRuntimeSession)(data, threads)
    except ImportError as error:
        raise ConfigurationError(f"{path} needs {name} here: pip install {package}.") from error
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{path} holds names that are not text: {error.reason}.") from error
    except Exception as error:
        raise ModelFileError(
            f"{path} is not a graph that {name} reads: {first_line(error)}"
        ) from error
