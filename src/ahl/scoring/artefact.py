"""The file of an exported model: an ONNX graph with the model's card and its parity.

Any tool can read it as ONNX. Our parts are in its metadata; the last bytes are a metadata entry
with the SHA-256 of all bytes before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self, cast, get_args

from ahl._common.errors import ModelFileError
from ahl._common.files import written_whole
from ahl._common.text import first_line
from ahl.model.card import ModelCard

Precision = Literal["fp32", "int8"]

ARTEFACT_VERSION: Final = 3
"""Format version, raised if older readers cannot read new files."""

METADATA_KEY: Final = "ahl"
"""Key of our entry in the file's metadata."""

_CHECKSUM_KEY: Final = b"ahl.sha256"
_METADATA_FIELD: Final = 14  # of ModelProto, in onnx.proto
_ZIP: Final = b"PK\x03\x04"  # of OpenVINO's and torch's artefacts, up to version 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Description:
    """Everything in an artefact except its graph.

    Attributes:
        card: the model's card.
        precision: precision of the backbone's arithmetic.
        parity: results of the comparison at export, with the largest differences.
    """

    card: ModelCard
    precision: Precision
    parity: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """The description as JSON; equal descriptions give equal texts."""
        values = {
            "version": ARTEFACT_VERSION,
            "precision": self.precision,
            "parity": dict(self.parity),
            "card": self.card.values(),
        }
        return json.dumps(values, sort_keys=True, ensure_ascii=True, allow_nan=False)

    @classmethod
    def read(cls, text: str, path: Path) -> Self:
        """Read a description from the JSON of `text`.

        Raises:
            ModelFileError: if it is not a description, or of another version.
        """
        try:
            values = json.loads(text)
            version = values["version"]
            if version == ARTEFACT_VERSION:
                return cls(
                    card=ModelCard.rebuild(values["card"]),
                    precision=_precision(values["precision"]),
                    parity=dict(values["parity"]),
                )
        except Exception as error:  # of many kinds, for values that somebody made
            raise ModelFileError(
                f"{path} holds values that do not fit together: {first_line(error)}"
            ) from error
        raise ModelFileError(
            f"{path} is an artefact of version {version!r:.20}; this version of ahl reads version "
            f"{ARTEFACT_VERSION}. Upgrade ahl, or export the model again."
        )


def write_artefact(path: Path, model: bytes) -> None:
    """Write an ONNX model, whose metadata hold its description, with the checksum appended.

    Raises:
        ModelFileError: if the file cannot be written.
    """
    try:
        with written_whole(path) as temporary:
            temporary.write_bytes(model + _trailer(hashlib.sha256(model).hexdigest()))
    except OSError as error:
        raise ModelFileError(f"{path} cannot be written: {first_line(error)}.") from error


def read_artefact(path: Path) -> bytes:
    """Read and verify an artefact; the bytes are an ONNX model.

    Raises:
        ModelFileError: if the file is truncated, altered, or not an artefact of ours.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.") from error
    if data.startswith(_ZIP):
        raise ModelFileError(
            f"{path} is an archive, as earlier versions of ahl wrote for OpenVINO and torch; "
            "export the model again: one ONNX file serves ONNX Runtime and OpenVINO."
        )
    length = len(_trailer("0" * 64))
    model, end = data[:-length], data[-length:]
    if end != _trailer(hashlib.sha256(model).hexdigest()):
        what = (
            "was altered or damaged after it was written"
            if _CHECKSUM_KEY in end
            else "is truncated, or not an ONNX file that `ahl export` wrote"
        )
        raise ModelFileError(f"{path} {what}. Copy it again, or export the model again.")
    return data


def is_exported(path: Path) -> bool:
    """True if a file looks like one from `ahl export`, by its first bytes.

    Raises:
        ModelFileError: if the file cannot be read.
    """
    start = _start(path)
    # Field 1 of ModelProto, a small number.
    return start.startswith(_ZIP) or (start[:1] == b"\x08" and not _is_safetensors(start))


def is_like_model_file(path: Path) -> bool:
    """True if a file looks like one from `ahl train`, by its first bytes.

    Raises:
        ModelFileError: if the file cannot be read.
    """
    return _is_safetensors(_start(path))


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.") from error


def _is_safetensors(start: bytes) -> bool:
    return start[8:9] == b"{"  # after the length, in eight bytes, of the JSON that begins so


def _precision(name: object) -> Precision:
    if name not in get_args(Precision):
        raise ValueError(f"unknown precision {name!r}; expected fp32 or int8")
    return cast(Precision, name)


def _trailer(digest: str) -> bytes:
    """The checksum as an encoded metadata entry: key and value, each with tag and length."""
    value = digest.encode("ascii")
    entry = (
        bytes([1 << 3 | 2, len(_CHECKSUM_KEY)]) + _CHECKSUM_KEY + bytes([2 << 3 | 2, len(value)])
    ) + value
    return bytes([_METADATA_FIELD << 3 | 2, len(entry)]) + entry
