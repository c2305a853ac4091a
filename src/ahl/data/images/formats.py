"""The table of readable image formats, by which files are found, opened and stored."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from PIL import features


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format of image files.

    Attributes:
        name: its name in messages.
        suffixes: suffixes in lower case; files are stored under the first.
        starts: pairs of an offset and bytes; a file that matches one is of this format.
        pillow: its name in Pillow; "" if Pillow does not read it.
        extra: the `extra` of `pip install 'ahl[extra]'` that it needs; "" for none.
        readable: True if this installation can read it.
    """

    name: str
    suffixes: tuple[str, ...]
    starts: tuple[tuple[int, bytes], ...]
    pillow: str = ""
    extra: str = ""
    readable: bool = True


# Named, so that Pillow never tries its riskier decoders (EPS would start Ghostscript).
FORMATS: Final = (
    Format(name="PNG", suffixes=(".png",), starts=((0, b"\x89PNG"),), pillow="PNG"),
    Format(
        name="JPEG",
        suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"),
        starts=((0, b"\xff\xd8"),),
        pillow="JPEG",
    ),
    Format(name="BMP", suffixes=(".bmp",), starts=((0, b"BM"),), pillow="BMP"),
    Format(
        name="TIFF",
        suffixes=(".tif", ".tiff"),
        starts=((0, b"II*\0"), (0, b"MM\0*"), (0, b"II+\0"), (0, b"MM\0+")),
        pillow="TIFF",
    ),
    Format(name="WebP", suffixes=(".webp",), starts=((0, b"RIFF"),), pillow="WEBP"),
    Format(name="GIF", suffixes=(".gif",), starts=((0, b"GIF8"),), pillow="GIF"),
    Format(
        name="JPEG 2000",
        suffixes=(".jp2", ".j2k"),
        starts=((0, b"\0\0\0\x0cjP  "), (0, b"\xff\x4f\xff\x51")),
        pillow="JPEG2000",
        readable=features.check_codec("jpg_2000"),
    ),
    Format(
        name="AVIF",
        suffixes=(".avif",),
        starts=((4, b"ftypavif"), (4, b"ftypavis")),
        pillow="AVIF",
        readable="avif" in features.modules and features.check_module("avif"),
    ),
    Format(
        name="HEIC",
        suffixes=(".heic", ".heif"),
        starts=tuple((4, b"ftyp" + brand) for brand in (b"heic", b"heix", b"mif1", b"msf1")),
        pillow="HEIF",
        extra="heif",
        readable=find_spec("pillow_heif") is not None,
    ),
    Format(
        name="DICOM",
        suffixes=(".dcm", ".dicom"),
        starts=((128, b"DICM"),),
        extra="dicom",
        readable=find_spec("pydicom") is not None,
    ),
    Format(name=".npy", suffixes=(".npy",), starts=((0, b"\x93NUMPY"),)),
)
"""Formats that a folder may hold, the most usual first."""

IMAGE_SUFFIXES: Final = frozenset(
    suffix for one in FORMATS if one.readable for suffix in one.suffixes
)
"""Suffixes, in lower case, by which images are found in folders."""

MISSING: Final[Mapping[str, str]] = {
    suffix: f"pip install 'ahl[{one.extra}]'" if one.extra else "a newer Pillow"
    for one in FORMATS
    if not one.readable
    for suffix in one.suffixes
}
"""Package to install for a format, by the suffixes that this installation cannot read."""

ARRAY_SUFFIX: Final = ".npy"
"""Suffix of files that are read as arrays."""

LONGEST_START: Final = 132
"""Number of first bytes that suffice to recognise every format."""


NAMED: Final = tuple(one for one in FORMATS if one.name == "DICOM")
"""Formats that are recognised by suffix, too, as their files may begin otherwise."""


def format_of(start: bytes) -> Format | None:
    """The format of a file, by its first bytes; None if unknown."""
    for one in FORMATS:
        if any(start[offset:].startswith(begin) for offset, begin in one.starts):
            return one
    return None


def formats_in_words() -> str:
    """List of the formats that are read without an extra: `PNG, JPEG, ... or .npy`."""
    *names, last = (one.name for one in FORMATS if one.readable and not one.extra)
    return f"{', '.join(names)} or {last}"


@functools.cache
def pillow_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that it reads here; loads the plugins they need."""
    if find_spec("pillow_heif") is not None:
        import pillow_heif

        pillow_heif.register_heif_opener()
    return tuple(one.pillow for one in FORMATS if one.pillow and one.readable)
