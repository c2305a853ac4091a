"""An exported model as one file: a graph, the model's card, and how well the two agree.

An ONNX artefact is an ONNX file that any tool reads: what is ours stands in its metadata, and the
last bytes are one more metadata entry with the SHA-256 of all bytes before it. An OpenVINO artefact
is a ZIP archive of `model.xml`, `model.bin` and `ahl.json`, stored without compression, which makes
it one file that appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self, cast, get_args

from ahl._common.errors import ModelFileError
from ahl._common.files import written_whole
from ahl.model.card import ModelCard
from ahl.scoring.runtime.messages import first_line

Format = Literal["onnx", "openvino"]
Precision = Literal["fp32", "fp16", "int8"]

ARTEFACT_VERSION: Final = 1
"""Raised whenever older readers could not read what is written."""

METADATA_KEY: Final = "ahl"
"""Of what is ours in an ONNX file's metadata."""

RESIZED: Final = "resized"
"""Name, within a graph, of the images at the model's own size."""

_CHECKSUM_KEY: Final = b"ahl.sha256"
_METADATA_FIELD: Final = 14  # of ModelProto, in onnx.proto
_PARTS: Final = ("model.xml", "model.bin", "ahl.json")
_DATE: Final = (1980, 1, 1, 0, 0, 0)  # of all members: equal models give equal bytes
_ZIP: Final = b"PK\x03\x04"


@dataclass(frozen=True, kw_only=True, eq=False)
class Description:
    """All of an artefact but its graph.

    Attributes:
        card: of the model.
        precision: of the graph's weights, or of its arithmetic.
        parity: what was compared at export, and how far the results lay apart.
    """

    card: ModelCard
    precision: Precision
    parity: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """As JSON; equal descriptions give equal texts."""
        values = {
            "version": ARTEFACT_VERSION,
            "precision": self.precision,
            "parity": dict(self.parity),
            "card": self.card.values(),
        }
        return json.dumps(values, sort_keys=True, ensure_ascii=True, allow_nan=False)

    @classmethod
    def read(cls, text: str, path: Path) -> Self:
        """The inverse of `text`.

        Raises:
            ModelFileError: if it is no description of this version.
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
        except (
            ArithmeticError,
            AttributeError,
            KeyError,
            MemoryError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            raise ModelFileError(
                f"{path} holds values that do not fit together: {first_line(error)}"
            ) from error
        raise ModelFileError(
            f"{path} is an artefact of version {version!r:.20}; this version of ahl reads version "
            f"{ARTEFACT_VERSION}. Upgrade ahl, or export the model again."
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """What computes the scores, as its runtime reads it.

    Attributes:
        format: which runtime's.
        data: the ONNX file, or OpenVINO's XML.
        weights: OpenVINO's weights; empty for ONNX, which holds its own.
    """

    format: Format
    data: bytes
    weights: bytes = b""


def write_onnx(path: Path, model: bytes) -> None:
    """Write an ONNX model, whose metadata describe it, with its checksum.

    Raises:
        ModelFileError: if the file cannot be written.
    """
    _write(path, model + _trailer(hashlib.sha256(model).hexdigest()))


def write_openvino(path: Path, graph: Graph, description: Description) -> None:
    """Write OpenVINO's two files and the description as one; same arguments, same bytes.

    Raises:
        ModelFileError: if the file cannot be written.
    """
    given = (graph.data, graph.weights)
    content = {
        "sha256": [hashlib.sha256(part).hexdigest() for part in given],
        "description": description.text(),
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        members = (*given, json.dumps(content, sort_keys=True).encode())
        for name, data in zip(_PARTS, members, strict=True):
            file.writestr(zipfile.ZipInfo(name, date_time=_DATE), data)
    _write(path, archive.getvalue())


def format_of(path: Path) -> Format | None:
    """Which kind of artefact a file seems to be, by its first bytes; None for neither.

    Raises:
        ModelFileError: if the file cannot be read.
    """
    start = _start(path)
    if start.startswith(_ZIP):
        return "openvino"
    # Field 1 of ModelProto, a small number.
    return "onnx" if start[:1] == b"\x08" and not _is_safetensors(start) else None


def is_like_model_file(path: Path) -> bool:
    """Whether a file seems to be one that `ahl train` wrote, by its first bytes.

    Raises:
        ModelFileError: if the file cannot be read.
    """
    return _is_safetensors(_start(path))


def read_graph(path: Path) -> tuple[Graph, Description | None]:
    """Read and verify an artefact.

    Returns:
        the graph, and the description; None for ONNX, whose own reader finds it.

    Raises:
        ModelFileError: if the file is truncated, altered, or not an artefact of ours.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.") from error
    if not data.startswith(_ZIP):
        return _read_onnx(data, path), None
    try:
        graph, described = _read_archive(data)
    except (
        zipfile.BadZipFile,
        AttributeError,
        EOFError,
        KeyError,
        NotImplementedError,
        OSError,
        RecursionError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise ModelFileError(
            f"{path} is no whole OpenVINO artefact of ahl: it is truncated, damaged or another "
            f"kind of archive ({first_line(error)})."
        ) from error
    description = Description.read(described, path)
    return graph, description


def _read_archive(data: bytes) -> tuple[Graph, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sorted(archive.namelist()) != sorted(_PARTS):
            raise ValueError("it holds other files; what --format torch wrote is for torch.export")
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("a file in it is compressed")  # and might be a bomb
        xml, weights, text = (archive.read(name) for name in _PARTS)
    content = json.loads(text)
    if content["sha256"] != [hashlib.sha256(part).hexdigest() for part in (xml, weights)]:
        raise ValueError("a part of it was altered")
    graph = Graph(format="openvino", data=xml, weights=weights)
    return graph, str(content["description"])


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.") from error


def _is_safetensors(start: bytes) -> bool:
    return start[8:9] == b"{"  # after the length, in eight bytes, of the JSON that begins so


def _precision(name: object) -> Precision:
    for known in get_args(Precision):
        if name == known:
            return cast(Precision, known)
    raise ValueError(f"the precision {name!r} is not known")


def _read_onnx(data: bytes, path: Path) -> Graph:
    length = len(_trailer("0" * 64))
    model, end = data[:-length], data[-length:]
    if end != _trailer(hashlib.sha256(model).hexdigest()):
        what = (
            "was altered or damaged after it was written"
            if _CHECKSUM_KEY in end
            else "is truncated, or not an ONNX file that `ahl export` wrote"
        )
        raise ModelFileError(f"{path} {what}. Copy it again, or export the model again.")
    return Graph(format="onnx", data=data)


def _trailer(digest: str) -> bytes:
    """A metadata entry as it stands in an ONNX file: key and value, each with tag and length."""
    value = digest.encode("ascii")
    entry = (
        bytes([1 << 3 | 2, len(_CHECKSUM_KEY)]) + _CHECKSUM_KEY + bytes([2 << 3 | 2, len(value)])
    ) + value
    return bytes([_METADATA_FIELD << 3 | 2, len(entry)]) + entry


def _write(path: Path, data: bytes) -> None:
    try:
        with written_whole(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be written: {error}") from error
