"""Checks the contents of an ONNX file before a runtime opens it.

A graph can make a runtime read tensors from other files, loop for ever, call functions, and reserve
memory of any declared size. An export needs none of this. The fields of `onnx.proto` that exports
use are therefore listed here, and a file with any other field is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

_MESSAGES: Final[dict[str, dict[int, str]]] = {
    "model": {1: "int", 2: "bytes", 3: "bytes", 4: "bytes", 5: "int", 6: "bytes"}
    | {7: "graph", 8: "*opset", 14: "*entry"},
    "opset": {1: "bytes", 2: "int"},
    "entry": {1: "bytes", 2: "bytes"},
    "graph": {1: "*node", 2: "bytes", 5: "*tensor", 10: "bytes", 16: "*entry"}
    | {11: "*value", 12: "*value", 13: "*value"},
    "node": {1: "*bytes", 2: "*bytes", 3: "bytes", 4: "bytes", 5: "*attribute", 6: "bytes"}
    | {7: "bytes", 9: "*entry"},
    "attribute": {1: "bytes", 2: "float", 3: "int", 4: "bytes", 5: "tensor", 7: "*float"}
    | {8: "*int", 9: "*bytes", 13: "bytes", 20: "int"},
    "tensor": {1: "*int", 2: "int", 8: "bytes", 9: "bytes", 12: "bytes", 14: "int", 16: "*entry"}
    | {4: "bytes", 5: "bytes", 7: "bytes", 10: "bytes", 11: "bytes"},
    "value": {1: "bytes", 2: "type", 3: "bytes", 4: "*entry"},
    "type": {1: "tensor type", 6: "bytes"},
    "tensor type": {1: "int", 2: "shape"},
    "shape": {1: "*dimension"},
    "dimension": {1: "int", 2: "bytes", 3: "bytes"},
}
"""Allowed fields by message and number; `*` marks those that may be repeated."""

_Fields = dict[int, list[Any]]

_LENGTH_FIRST: Final = 2
_WIRE_TYPES: Final = {"int": 0, "float": 5}
"""Wire types of protobuf fields; all others are length-delimited."""

_FOREIGN: Final = {
    ("model", 20): "training steps",
    ("model", 25): "functions",
    ("graph", 15): "sparse tensors",
    ("attribute", 6): "a graph inside an operator",
    ("attribute", 11): "graphs inside an operator",
    ("attribute", 22): "sparse tensors",
    ("attribute", 23): "sparse tensors",
    ("tensor", 13): "a tensor whose numbers lie in another file",
}
"""Names of refused fields that other tools write."""

_OPERATORS: Final = """
Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant
ConstantOfShape Conv ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div Einsum Elu Equal
Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool
GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid HardSwish Identity
InstanceNormalization IsInf IsNaN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax
LpNormalization MatMul Max MaxPool Mean Min Mish Mod Mul Neg Not Or PRelu Pad Pow QuantizeLinear
Range Reciprocal ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
ReduceSum ReduceSumSquare Relu Reshape Resize Round ScatterElements ScatterND Selu Shape Sigmoid
Sign Sin Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile
TopK Transpose Trilu Unsqueeze Where
"""
"""Allowed operators of the standard domain, for heads, convolutional networks and transformers.
None reads files, has a subgraph, loops, or draws random numbers."""

_ITEM_SIZES: Final = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8}
"""Bytes per number by `TensorProto.DataType`, without strings and complex numbers."""

_MOST_DIMENSIONS: Final = 16
"""Largest number of dimensions of a tensor."""

_MOST_FIELDS: Final = 10**6
"""Largest number of fields in a file; a graph of some thousand operators has a tenth of it."""


class ForeignContentError(ValueError):
    """The file is not an ONNX model, or has contents that our exports never have."""


def check_contents(data: bytes) -> dict[str, str]:
    """Refuse an ONNX file that refers to other files, or has contents that exports never have.

    Its computation and the memory that it takes are not checked.

    Args:
        data: a serialised `ModelProto`.

    Returns:
        the file's metadata.

    Raises:
        ForeignContentError: if it is not an ONNX model, names another file, has operators or fields
            that exports do not have, declares tensors of another size than it holds, or its
            metadata are not text.

    Example:
        >>> check_contents(b"\\x08\\x09")
        {}
    """
    found = _walk("model", memoryview(data), iter(range(_MOST_FIELDS)))
    entries = [[bytes(one.get(field, [b""])[0]) for field in (1, 2)] for one in found.get(14, [])]
    try:
        return {key.decode(): value.decode() for key, value in entries}
    except UnicodeDecodeError:
        raise ForeignContentError("its metadata are not text") from None


def _walk(message: str, data: memoryview, budget: Iterator[int]) -> _Fields:
    """Check a message and all nested ones; return its fields by number."""
    found: _Fields = {}
    for number, wire, value in _split(data):
        if next(budget, None) is None:
            raise ForeignContentError(f"it has more than {_MOST_FIELDS} fields")
        kind = _MESSAGES[message].get(number)
        if kind is None:
            what = _FOREIGN.get((message, number), f"field {number} of a {message}")
            raise ForeignContentError(f"it holds {what}, as no export does")
        if number in found and not kind.startswith("*"):
            raise ForeignContentError(f"it has field {number} of a {message} twice")
        inner = kind.removeprefix("*")
        if wire != _WIRE_TYPES.get(inner, _LENGTH_FIRST):
            raise ForeignContentError(f"field {number} of a {message} is of another type")
        values = found.setdefault(number, [])
        values.append(_walk(inner, value, budget) if inner in _MESSAGES else value)
    if message == "node":
        _check_operator(found)
    elif message == "tensor":
        _check_tensor(found)
    return found


def _check_operator(found: Mapping[int, list[Any]]) -> None:
    domain, name = (
        bytes(found.get(number, [b""])[0]).decode("ascii", "replace") for number in (7, 4)
    )
    if domain not in ("", "ai.onnx") or name not in _OPERATORS.split():
        raise ForeignContentError(
            f"its operator {f'{domain} {name}'.strip()!r:.80} is not one that exports have"
        )


def _check_tensor(found: Mapping[int, list[Any]]) -> None:
    """Compare a tensor's declared size with its data."""
    dimensions = found.get(1, [])
    size = _ITEM_SIZES.get(found.get(2, [0])[0])
    if found.get(14, [0])[0]:
        what = _FOREIGN["tensor", 13]
        raise ForeignContentError(f"it holds {what}, as no export does")
    if size is None or len(dimensions) > _MOST_DIMENSIONS:
        raise ForeignContentError("it has a tensor of another type, or of too many dimensions")
    held = 0
    for number, each in ((9, size), (4, 4), (10, 8)):
        held += len(found.get(number, [b""])[0]) // each
    for number in (5, 7, 11):  # integers of varying length, each of which has one such last byte
        content = np.frombuffer(found.get(number, [b""])[0], np.uint8)
        held += int(np.count_nonzero(content < 0x80))
    if math.prod(dimensions) != held:
        raise ForeignContentError("it declares a tensor of another size than it holds")


def _split(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Yield number, wire type and value of each protobuf field."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield number, wire, value
            continue
        if wire == _LENGTH_FIRST:
            length, place = _varint(data, place)
        else:
            length = {1: 8, 5: 4}.get(wire, len(data))
        if length > len(data) - place:
            raise ForeignContentError("it is not a complete ONNX model")
        yield number, wire, data[place : place + length]
        place += length


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """Read a varint, which has seven bits per byte; return it and the position behind it."""
    value = 0
    for count, byte in enumerate(data[place : place + 10]):
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return value % 2**64, place + count + 1
    raise ForeignContentError("it is not a complete ONNX model")
