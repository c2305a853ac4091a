"""Model and checkpoint files: safetensors with a JSON header and a checksum.

Reading runs no code from the file. The checksum covers the header and every tensor, so that a
truncated, altered or damaged file is refused before anything is built from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ahl._common.errors import ModelFileError, ResumeError
from ahl._common.files import written_whole
from ahl._common.schema import json_hash, read_json
from ahl._common.text import first_line
from ahl._common.version import __version__

FORMAT_VERSION = 12

KEY = "ahl"
"""Name of the only metadata entry in our files."""

Content = Literal["model", "checkpoint"]


class _Envelope(msgspec.Struct):
    content: str | None = None
    format: int | None = None
    header: str = ""
    sha256: str = ""


class _Metadata(msgspec.Struct):
    """The metadata in a safetensors file's JSON header."""

    entries: dict[str, str] | None = msgspec.field(default=None, name="__metadata__")


Groups = dict[str, dict[str, Tensor]]
"""Tensors by group and name; a group's name has no slash."""


def write_tensor_file(path: Path, content: Content, header: dict[str, Any], groups: Groups) -> None:
    """Write a header and tensors; the same arguments give the same bytes.

    Raises:
        ModelFileError: if the file cannot be written.
    """
    text, ordered = _text(header), _ordered(groups)
    checksum = _checksum(text, ordered)
    envelope = _Envelope(content, FORMAT_VERSION, text, checksum)
    # One metadata entry: safetensors writes several in an order that changes between runs.
    metadata = {KEY: msgspec.json.encode(envelope).decode()}
    try:
        with written_whole(path) as temporary:
            # Not `save_file`: its files are readable by their owner only.
            temporary.write_bytes(save(ordered, metadata=metadata))
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"{path} cannot be written: {first_line(error)}.") from error


def read_tensor_file(path: Path, content: Content) -> tuple[dict[str, Any], Groups]:
    """Read and verify a file of `write_tensor_file`; groups that were empty are missing.

    Raises:
        ModelFileError: if the file is missing, truncated, altered, of another kind or of
            another format version.
    """
    if not path.is_file():
        raise ModelFileError(f"There is no {content} file {path}; check the path.")
    try:
        # Read once: opened twice, it could be replaced in between by a run that saves.
        data = path.read_bytes()
        envelope = _envelope(data)
        _check_envelope(path, envelope, content)
        tensors = load(data)
    except ModelFileError:
        raise
    except (OSError, SafetensorError, ValueError, MemoryError, RuntimeError, KeyError) as error:
        raise ModelFileError(
            f"{path} is not a readable ahl {content}: it is truncated, damaged or another kind "
            f"of file ({error})."
        ) from error
    if envelope.sha256 != _checksum(envelope.header, tensors):
        raise ModelFileError(
            f"{path} does not match its checksum: it was altered or damaged after it was "
            "written. Copy it again from its source, or train it again."
        )
    try:
        header = read_json(envelope.header, dict[str, Any])
    except ValueError as error:
        raise ModelFileError(f"{path} has an unreadable header: {first_line(error)}.") from error
    groups: Groups = {}
    for name, tensor in tensors.items():
        group, _, key = name.partition("/")
        groups.setdefault(group, {})[key] = tensor
    return header, groups


def tensor_of(
    tensors: dict[str, Tensor], name: str, dtype: torch.dtype, *shape: int | None
) -> Tensor:
    """Return a tensor of a group, after checking it; None in `shape` stands for any size.

    Raises:
        ValueError: if it is missing, has another shape or dtype, or holds non-finite numbers.
    """
    found = tensors.get(name)
    if found is None:
        raise ValueError(f"the tensor {name!r} is missing")
    sizes = zip(shape, found.shape, strict=False)
    fits = found.ndim == len(shape) and all(wanted in (None, size) for wanted, size in sizes)
    if not fits or found.dtype != dtype:
        raise ValueError(
            f"the tensor {name!r} has the wrong shape or type: {tuple(found.shape)}, "
            f"{found.dtype}; expected {shape}, {dtype}"
        )
    if not found.isfinite().all():
        raise ValueError(f"the tensor {name!r} holds numbers that are not finite")
    return found


def tensors_like(groups: Groups, name: str, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a group's tensors, checked against the names, shapes and dtypes of `wanted`.

    Raises:
        ValueError: as `tensor_of`.
    """
    found = groups.get(name, {})
    return {key: tensor_of(found, key, one.dtype, *one.shape) for key, one in wanted.items()}


def content_checksum(header: dict[str, Any], groups: Groups) -> str:
    """SHA-256 (hex) that a file with this header and these tensors carries."""
    return _checksum(_text(header), _ordered(groups))


def _text(header: dict[str, Any]) -> str:
    return json.dumps(header, sort_keys=True, ensure_ascii=True, allow_nan=False)


def _ordered(groups: Groups) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": groups[name][key].contiguous()
        for name in sorted(groups)
        for key in sorted(groups[name])
    }


def _checksum(text: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    digest.update(save({name: tensors[name] for name in sorted(tensors)}))
    return digest.hexdigest()


def _envelope(data: bytes) -> _Envelope:
    """The envelope in a file's header; empty for safetensors files that are not ours.

    `data` starts with the length of a JSON text, 8 bytes little endian, and that text.
    """
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise ValueError("it ends before its header does")
    metadata = msgspec.json.decode(data[8 : 8 + length], type=_Metadata)
    return msgspec.json.decode((metadata.entries or {}).get(KEY, "{}"), type=_Envelope)


def _check_envelope(path: Path, found: _Envelope, content: Content) -> None:
    if found.content is None:
        raise ModelFileError(
            f"{path} is a safetensors file, but not an ahl {content}. Give backbone weights by "
            "--weights when training."
        )
    if found.content != content:
        raise ModelFileError(f"{path} is an ahl {found.content}, not an ahl {content}.")
    if found.format != FORMAT_VERSION:
        raise ModelFileError(
            f"{path} has {content} format {found.format}; this version of ahl reads "
            f"format {FORMAT_VERSION}. Upgrade ahl, or train the model again."
        )


def run_fingerprint(values: Mapping[str, Any]) -> str:
    """Hash that identifies a run: of its JSON values and of ahl's and torch's versions."""
    versions = {"ahl": __version__, "torch": torch.__version__}
    return json_hash({**versions, **values})


def write_checkpoint(path: Path, fingerprint: str, header: dict[str, Any], groups: Groups) -> None:
    """Write or replace a checkpoint atomically; tensors may be on any device."""
    on_cpu = {
        name: {key: tensor.detach().cpu() for key, tensor in group.items()}
        for name, group in groups.items()
    }
    write_tensor_file(path, "checkpoint", {**header, "fingerprint": fingerprint}, on_cpu)


def read_checkpoint(path: Path, fingerprint: str) -> tuple[dict[str, Any], Groups] | None:
    """Read a checkpoint's header and tensors; None if the file does not exist.

    Raises:
        ResumeError: if the checkpoint is of another run or cannot be read.
    """
    if not path.exists():
        return None
    try:
        header, groups = read_tensor_file(path, "checkpoint")
    except ModelFileError as error:
        raise ResumeError(f"{error} Start again without --resume.") from error
    if header.get("fingerprint") != fingerprint:
        raise ResumeError(
            f"{path} belongs to a run with other images, settings or versions. Run again with the "
            "same ones, or start again without --resume."
        )
    return header, groups


@contextmanager
def resuming(path: Path) -> Iterator[None]:
    """Turn errors of the block, which restores a checkpoint's state, into ResumeError.

    Raises:
        ResumeError: if a part of the state is missing or does not fit.
    """
    try:
        yield
    except (KeyError, RuntimeError, TypeError, ValueError) as error:  # or training had diverged
        raise ResumeError(
            f"{path} does not hold a state to resume ({first_line(error)}). Start again without "
            "--resume."
        ) from error


def finetuning_checkpoint(checkpoint: Path | None) -> Path | None:
    """Path of the fine-tuning stage's checkpoint, beside the training's; None for None."""
    return None if checkpoint is None else checkpoint.with_name(f"{checkpoint.name}.finetune")
