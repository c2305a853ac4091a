"""TIFF tags that change the meaning of an image's numbers: applied, or refused with a reason."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from ahl._common.errors import ImageError
from ahl._common.types import ImageSize
from ahl.data.images.numbers import FULL_DEPTH, white_of

_BITS, _PHOTOMETRIC, _CHANNELS, _FORMAT = 258, 262, 277, 339
_WHITE_IS_ZERO: Final = 0
_READ: Final = (1, 2, 4, 8, 12, 16, 32)  # bits of unsigned integers
_KINDS: Final = {1: "unsigned integers", 2: "signed integers", 3: "floats"}
_COMPRESSION, _PREDICTOR, _PLANES, _ORIENTATION, _TILES = 259, 317, 284, 274, 322
_WIDTH, _HEIGHT, _OFFSETS, _LENGTHS = 256, 257, 273, 279
_RAW, _DEFLATE = (1,), (8, 32946)
_MOST_NUMBERS: Final = 2**18  # of a tag: strips, tiles, colours
_MOST_TAGS: Final = 2**12
_BYTES: Final = (1, 2, 6, 7)  # types of tags that are bytes: texts, colour profiles
_WAY_OUT: Final = "save it with 8 or 16 bits a channel, unsigned"


def check_tags(stream: BinaryIO) -> None:
    """Refuse a file with too many strips, for each of which Pillow makes an object.

    Args:
        stream: the open file; its position is kept.

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
    """Refuse numbers that Pillow misreads.

    Raises:
        ImageError: for signed integers of fewer than 32 bits.
    """
    bits, kind = _first(tags, _BITS, 1), _first(tags, _FORMAT, 1)
    if kind == 2 and bits < 32:
        raise ImageError(f"its values are {bits}-bit signed integers; {_WAY_OUT}")


def in_full_range(
    values: NDArray[Any], tags: Mapping[int, Any], bit_depth: int = FULL_DEPTH
) -> NDArray[Any]:
    """Scale and invert Pillow's numbers so that zero is black and integers use `bit_depth` bits.

    Args:
        values: numbers from Pillow, which does not scale 12 bits or invert zero as white.
        tags: tags of the image.
        bit_depth: bits of integers.
    """
    if _first(tags, _BITS, 1) == 12:
        values = values << 4 >> FULL_DEPTH - bit_depth
    if _first(tags, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO:
        floats, most = values.dtype.kind == "f", values.max().item()
        values = white_of(0, most, floats=floats, bit_depth=bit_depth) - values
    return values


def _tags_of(stream: BinaryIO) -> TiffImagePlugin.ImageFileDirectory_v2:
    """Tags of the first image; a damaged file may raise any exception."""
    stream.seek(0)
    start = stream.read(8)
    if start[2:3] == b"+" or start[3:4] == b"+":  # BigTIFF: offsets of 8 bytes
        start += stream.read(8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(start)
    stream.seek(tags.next)
    tags.load(stream)
    return tags


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatTiff:
    """A TIFF image of 16-bit or 64-bit floats, or of floats in several channels.

    Pillow does not read these.

    Attributes:
        stream: the open file.
        tags: tags of the image.
        size: height and width.
        channels: number of channels, 1 or at least 3.
    """

    stream: BinaryIO
    tags: Mapping[int, Any]
    size: ImageSize
    channels: int

    @classmethod
    def of(cls, stream: BinaryIO) -> Self | None:
        """The image in a file; None if the file is of another kind, or damaged.

        Raises:
            ImageError: if it is an unsupported image of floats, with the reason.
        """
        try:
            tags = _tags_of(stream)
            bits, kind = _first(tags, _BITS, 1), _first(tags, _FORMAT, 1)
            channels = _first(tags, _CHANNELS, 1)
            size = _first(tags, _HEIGHT, 0), _first(tags, _WIDTH, 0)
        except Exception:  # what reads it says so
            return None
        finally:
            stream.seek(0)
        if kind != 3 or bits not in (16, 32, 64) or (bits == 32 and channels == 1):
            return None
        packed = _first(tags, _COMPRESSION, 1) not in (*_RAW, *_DEFLATE)
        for what, found in (
            ("compressed otherwise than by Deflate", packed),
            ("predicted from their neighbours", _first(tags, _PREDICTOR, 1) != 1),
            ("in tiles", _TILES in tags),
            ("of an image that is turned", _first(tags, _ORIENTATION, 1) != 1),
            (f"in {channels} channels", channels == 2),
        ):
            if found:
                numbers = f"{bits}-bit floats {what}"
                raise ImageError(f"its values are {numbers}, which are not read; {_WAY_OUT}")
        return cls(stream=stream, tags=tags, size=size, channels=channels)

    def values(self) -> NDArray[Any]:
        """Read the floats, (H, W) or (H, W, 3); a damaged file may raise any exception."""
        height, width = self.size
        order = "<" if self.tags.prefix == b"II" else ">"  # type: ignore[attr-defined]
        kind = np.dtype(f"{order}f{_first(self.tags, _BITS, 1) // 8}")
        size, data = height * width * self.channels * kind.itemsize, bytearray()
        for offset, length in zip(self.tags[_OFFSETS], self.tags[_LENGTHS], strict=True):
            if len(data) >= size:
                break
            self.stream.seek(offset)
            strip, left = self.stream.read(length), size - len(data)
            if _first(self.tags, _COMPRESSION, 1) in _DEFLATE:
                strip = zlib.decompressobj().decompress(strip, left)
            data += strip[:left]
        values = np.frombuffer(data, kind)
        if _first(self.tags, _PLANES, 1) == 2:
            values = np.moveaxis(values.reshape(self.channels, height, width), 0, -1)
        values = values.reshape(height, width, self.channels)
        return in_full_range(values[:, :, 0] if self.channels == 1 else values[:, :, :3], self.tags)


def explain_unread(stream: BinaryIO) -> None:
    """Raise the reason why Pillow cannot read a TIFF file; return if the tags are unreadable.

    Raises:
        ImageError: with the reason.
    """
    try:
        tags = _tags_of(stream)
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
