"""TIFF tags that change what the numbers of an image mean: obeyed, or refused with the reason."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

from numpy.typing import NDArray
from PIL import TiffImagePlugin

from ahl._common.errors import ImageError

_BITS, _PHOTOMETRIC, _CHANNELS, _FORMAT = 258, 262, 277, 339
_WHITE_IS_ZERO: Final = 0
_READ: Final = (1, 2, 4, 8, 12, 16, 32)  # bits of unsigned integers
_KINDS: Final = {1: "unsigned integers", 2: "signed integers", 3: "floats"}
_MOST_NUMBERS: Final = 2**18  # of a tag: strips, tiles, colours
_MOST_TAGS: Final = 2**12
_BYTES: Final = (1, 2, 6, 7)  # types of tags that are bytes: texts, colour profiles
_WAY_OUT: Final = "save it with 8 or 16 bits a channel, unsigned"


def check_tags(stream: BinaryIO) -> None:
    """Refuse a file with more strips than any image needs: Pillow makes an object of each.

    Args:
        stream: of the file, whose place stays.

    Raises:
        ImageError: if a tag of the first image has too many numbers.
    """
    place = stream.tell()
    start = stream.read(16)
    order = "<" if start[:2] == b"II" else ">"
    wide = b"+" in start[2:4]  # BigTIFF
    first, number, size = ("Q", "Q", 20) if wide else ("L", "H", 12)
    try:
        stream.seek(*struct.unpack_from(order + first, start, 8 if wide else 4))
        (tags,) = struct.unpack(order + number, stream.read(struct.calcsize(order + number)))
        content = stream.read(min(tags, _MOST_TAGS) * size)
        counts = [
            one[2]
            for one in struct.iter_unpack(order + f"HH{first}{first}", content)
            if one[1] not in _BYTES
        ]
    except (struct.error, ValueError, OverflowError):  # damaged, as is found out later
        counts = []
    stream.seek(place)
    if max(counts, default=0) > _MOST_NUMBERS:
        raise ImageError(
            f"it lies in {max(counts):,} pieces, more than the {_MOST_NUMBERS:,} allowed; save it "
            "with larger strips"
        )


def check_numbers(tags: Mapping[int, Any]) -> None:
    """Refuse numbers that Pillow reads as others.

    Raises:
        ImageError: for signed integers of fewer than 32 bits.
    """
    bits, kind = _first(tags, _BITS, 1), _first(tags, _FORMAT, 1)
    if kind == 2 and bits < 32:
        raise ImageError(f"its values are {bits}-bit signed integers; {_WAY_OUT}")


def in_full_range(values: NDArray[Any], tags: Mapping[int, Any]) -> NDArray[Any]:
    """Grey values of 16 bits or floats as others mean them: zero is black, 65535 or 1 white.

    Args:
        values: as Pillow gives them: 12 bits are not scaled, and white may be zero.
        tags: of the image.
    """
    if _first(tags, _BITS, 1) == 12:
        values = values << 4
    if _first(tags, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO:
        values = (1 if values.dtype.kind == "f" else 65535) - values
    return values


def explain_unread(stream: BinaryIO) -> None:
    """Say why Pillow does not know a TIFF file, if its tags can be read.

    Raises:
        ImageError: with the reason.
    """
    stream.seek(0)
    start = stream.read(8)
    if start[2:3] == b"+" or start[3:4] == b"+":  # BigTIFF: offsets of 8 bytes
        start += stream.read(8)
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(start)
        stream.seek(tags.next)
        tags.load(stream)
        bits, kind = _first(tags, _BITS, 1), _first(tags, _FORMAT, 1)
        channels = _first(tags, _CHANNELS, 1)
    except Exception:  # damaged: what the caller says of it, is true
        return
    if (kind == 1 and bits in _READ) or not {_BITS, _PHOTOMETRIC} <= set(tags):
        return  # it is not the numbers
    numbers = f"{bits}-bit {_KINDS.get(kind, 'numbers of an unknown kind')}"
    in_channels = f" in {channels} channels" if channels > 1 else ""
    raise ImageError(f"its values are {numbers}{in_channels}, which are not read; {_WAY_OUT}")


def _first(tags: Mapping[int, Any], tag: int, default: int) -> int:
    value = tags.get(tag, default)
    return int(value[0] if isinstance(value, tuple) and value else value)
