"""Files that a killed run goes on from, and how a run knows its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ahl._common.errors import ModelFileError, ResumeError
from ahl._common.hashes import json_hash
from ahl._common.tensor_file import Groups, read_tensor_file, write_tensor_file
from ahl._common.version import __version__


def run_fingerprint(values: Mapping[str, Any]) -> str:
    """Identity of a run: a hash of its JSON values and of the versions that compute it."""
    versions = {"ahl": __version__, "torch": torch.__version__}
    return json_hash({**versions, **values})


def write_checkpoint(path: Path, fingerprint: str, header: dict[str, Any], groups: Groups) -> None:
    """Replace the checkpoint whole; tensors may be on any device."""
    on_cpu = {
        name: {key: tensor.detach().cpu() for key, tensor in group.items()}
        for name, group in groups.items()
    }
    write_tensor_file(path, "checkpoint", {**header, "fingerprint": fingerprint}, on_cpu)


def read_checkpoint(path: Path, fingerprint: str) -> tuple[dict[str, Any], Groups] | None:
    """Read a checkpoint's header and tensors back; None when there is none.

    Raises:
        ResumeError: if the checkpoint is of another run or cannot be read.
    """
    if not path.exists():
        return None
    try:
        header, groups = read_tensor_file(path, "checkpoint")
    except ModelFileError as error:
        raise ResumeError(f"{error} Start anew without --resume.") from error
    if header.get("fingerprint") != fingerprint:
        raise ResumeError(
            f"{path} belongs to a run with other images, settings or versions. Run again with "
            "the same ones, or start anew without --resume."
        )
    return header, groups


def finetuning_checkpoint(checkpoint: Path | None) -> Path | None:
    """The fine-tuning stage's own checkpoint, beside that of the training."""
    return None if checkpoint is None else checkpoint.with_name(f"{checkpoint.name}.finetune")
