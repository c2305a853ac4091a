"""Whatever scores images: a model file in torch, or an exported one in a light runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import ConfigurationError, ModelFileError
from ahl._common.process_settings import usable_cores
from ahl.data.images.reading import ImageSource
from ahl.model.card import ModelCard
from ahl.scoring.prediction import Prediction
from ahl.scoring.runtime.artefact import format_of, is_like_model_file
from ahl.scoring.runtime.scorer import OnnxScorer


class Scorer(Protocol):
    """Scores images; safe to use from one thread at a time."""

    @property
    def card(self) -> ModelCard:
        """What is to be known of the model."""
        ...

    def predict(
        self, images: Sequence[ImageSource], *, heat_maps: bool = False, nearest: bool = False
    ) -> Iterator[Prediction]:
        """Score images in order, in bounded memory; decoding runs ahead.

        Args:
            images: paths, Pillow images or uint8 arrays.
            heat_maps: also say where in each image the evidence lies.
            nearest: also say which images of the training are most like it.

        Returns:
            an iterator with one prediction an image; an unreadable one has an error instead.
        """
        ...

    def score_pixels(
        self, pixels: NDArray[np.uint8], *, heat_maps: bool = False, nearest: bool = False
    ) -> list[Prediction]:
        """Score images (N, H, W, 3) that are decoded, and resized to the model's `image_size`."""
        ...


def open_scorer(path: Path, *, device: str = "auto", threads: int | None = None) -> Scorer:
    """Open a model, whatever kind of file it is in.

    Args:
        path: the file.
        device: `auto`, `cpu` or `cuda`, where torch computes.
        threads: of the CPU; None takes all cores.

    Raises:
        ModelFileError: if it is no whole model.
        ConfigurationError: if there is no such device, or what the file needs is not installed.
        NotFittedError: if the model was trained on feature maps and has no backbone.
    """
    if format_of(path) is not None:
        return OnnxScorer(path, device=device, threads=threads)
    check_torch(path)
    import torch

    from ahl._common.devices import resolve_device
    from ahl.model.trained import TrainedModel
    from ahl.scoring.torch_scorer import TorchScorer

    if threads is not None:
        torch.set_num_threads(threads)
    chosen = resolve_device(device)
    return TorchScorer(TrainedModel.load(path), chosen)


def open_scorers(
    path: Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    passes: int | None = None,
) -> list[Scorer]:
    """Open a model for several passes through it at a time, each from a thread of its own.

    Two passes with half of the threads each get through more images than one with all of them:
    what is done in one thread, or waits for another, does not stop both. One image alone may take
    longer.

    Args:
        path: the file.
        device: as in `open_scorer`.
        threads: of the CPU, shared among the passes; None takes all cores. What cannot be shared
            evenly goes to the first passes (torch has one number for all: the smallest).
        passes: how many; None takes two, but one on a GPU or with one thread.

    Raises:
        ModelFileError: as `open_scorer`, and if the file was replaced meanwhile.
        ConfigurationError: as `open_scorer`, and if there are more passes than threads.
        NotFittedError: as `open_scorer`.
    """
    shared = threads or _own_threads(path)
    if passes is None:
        passes = 1 if _is_on_gpu(path, device) else min(2, shared)
    if passes == 1:
        return [open_scorer(path, device=device, threads=threads)]
    if passes > shared:
        raise ConfigurationError(
            f"{passes} passes at a time cannot share {shared} threads; ask for --passes {shared} "
            "at most, or for more --threads."
        )
    each, left = divmod(shared, passes)
    scorers = [
        open_scorer(path, device=device, threads=each + (place < left)) for place in range(passes)
    ]
    if len({one.card.sha256 for one in scorers}) > 1:
        raise ModelFileError(f"{path} was replaced while it was opened; try again.")
    return scorers


def _own_threads(path: Path) -> int:
    """What computes with a file takes when nobody says how many."""
    if format_of(path) is None and find_spec("torch") is not None:
        import torch

        return torch.get_num_threads()
    return usable_cores()


def _is_on_gpu(path: Path, device: str) -> bool:
    if format_of(path) is not None or find_spec("torch") is None:
        return False
    from ahl._common.devices import resolve_device

    return resolve_device(device).type != "cpu"


def check_torch(path: Path) -> None:
    """Say what to do with a file that is not exported where torch is not installed.

    Args:
        path: the file.

    Raises:
        ConfigurationError: if it seems to be a model file, and torch is not installed.
        ModelFileError: if it does not, likewise.
    """
    if find_spec("torch") is not None:
        return
    if not is_like_model_file(path):
        raise ModelFileError(
            f"{path} is no model: neither `ahl train` nor `ahl export` writes such a file."
        )
    raise ConfigurationError(
        f"{path} is a model file, which needs torch (pip install ahl). Without torch, export "
        "it elsewhere (ahl export MODEL --format onnx --output FILE) and use that file here."
    )
