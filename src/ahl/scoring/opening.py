"""Opens models as scorers: model files in torch, exported ones in a light runtime."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ahl._common.errors import ConfigurationError, ModelFileError
from ahl._common.process_settings import usable_cores
from ahl.scoring.artefact import is_exported, is_like_model_file
from ahl.scoring.onnx_scorer import OnnxScorer
from ahl.scoring.scorer import Scorer


def open_scorer(path: Path, *, device: str = "auto", threads: int | None = None) -> Scorer:
    """Open a model file or an exported model as a scorer.

    Args:
        path: the file.
        device: for a model file `auto`, `cpu` or `cuda` (torch); for an exported model `auto` or
            `cpu` (ONNX Runtime) or `openvino`.
        threads: number of CPU threads; None for all cores.

    Raises:
        ModelFileError: if it is not a complete model.
        ConfigurationError: if there is no such device, or a package that the file needs is not
            installed.
        DataError: if the model was trained on feature maps and has no backbone.

    Examples:
        >>> from pathlib import Path
        >>> from ahl import open_scorer
        >>> scorer = open_scorer(Path("parts.ahl"))
        >>> [prediction.index for prediction in scorer.predict(["new/1.png", "new/2.png"])]
        [0, 1]
    """
    if is_exported(path):
        return OnnxScorer(path, device=device, threads=threads)
    check_torch(path)
    if device == "openvino":
        raise ConfigurationError(
            f"{path} is a model file, which runs in torch only; for OpenVINO, export it first "
            "(`ahl export`)."
        )
    import torch

    from ahl._common.devices import resolve_device
    from ahl.model.trained import TrainedModel
    from ahl.scoring.torch_scorer import TorchScorer

    if threads is not None:
        torch.set_num_threads(threads)
    chosen = resolve_device(device)
    return TorchScorer(TrainedModel.load(path), chosen)


def threads_of_passes(
    path: Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    passes: int | None = None,
) -> list[int | None]:
    """Numbers of threads for parallel passes through a model, for `open_scorer`.

    Two passes with half of the threads each score more images per second than one with all of them,
    but a single image may take longer.

    Args:
        path: the file.
        device: as in `open_scorer`.
        threads: number of CPU threads to divide among the passes, the first of which get the
            remainder; None for all cores.
        passes: number of passes; None for two, or one on a GPU or with a single thread.

    Raises:
        ModelFileError: if the file cannot be read.
        ConfigurationError: if there are more passes than threads, or no such device.
    """
    in_torch = not is_exported(path) and find_spec("torch") is not None
    shared = threads or (_torch_threads() if in_torch else usable_cores())
    if passes is None:
        passes = 1 if in_torch and _is_gpu(device) else min(2, shared)
    if passes == 1:
        return [threads]
    if passes > shared:
        raise ConfigurationError(
            f"{passes} passes at a time cannot share {shared} threads; give --passes {shared} at "
            "most, or more --threads."
        )
    each, left = divmod(shared, passes)
    return [each + (place < left) for place in range(passes)]


def _torch_threads() -> int:
    import torch

    return torch.get_num_threads()


def _is_gpu(device: str) -> bool:
    from ahl._common.devices import resolve_device

    return device in ("auto", "cuda") and resolve_device(device).type != "cpu"


def check_torch(path: Path) -> None:
    """Refuse a file that is not an exported model if torch is not installed.

    Raises:
        ConfigurationError: if it looks like a model file, which needs torch.
        ModelFileError: if it is neither.
    """
    if find_spec("torch") is not None:
        return
    if not is_like_model_file(path):
        raise ModelFileError(f"{path} is not a model that `ahl train` or `ahl export` wrote.")
    raise ConfigurationError(
        f"{path} is a model file, which needs torch (pip install ahl). Without torch, export "
        "it elsewhere (ahl export MODEL --output FILE) and use that file here."
    )
