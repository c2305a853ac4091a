"""DICOM images as 8-bit pixels, displayed as the file prescribes; needs pydicom.

- Grey values go through the modality's slope and intercept, and through the first window (centre
  and width) or lookup table of the file. Without either, the stored bits are scaled to 8: of 12
  bits, 4095 is white.
- MONOCHROME1, in which zero is white, is inverted.
- Of several frames, the first is read.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import ImageError
from ahl._common.types import ImageSize, Pixels


def shape_of_dicom(stream: BinaryIO) -> ImageSize:
    """Height and width of the image, from the header.

    Raises:
        ImageError: if the file holds no image.
    """
    import pydicom

    stream.seek(0)
    return _shape(pydicom.dcmread(stream, force=True, stop_before_pixels=True))


def from_dicom(stream: BinaryIO) -> Pixels:
    """8-bit grey values (H, W) or colours (H, W, 3) of the image.

    Raises:
        ImageError: if the file holds no image.
    """
    import pydicom
    from pydicom.pixels import apply_color_lut, pixel_array

    stream.seek(0)
    file = pydicom.dcmread(stream, force=True)
    _shape(file)
    values = pixel_array(file, index=0)
    if file.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, file)
        return _scaled(values, 0, np.iinfo(values.dtype).max)
    if values.ndim == 3:  # pydicom gives RGB
        return _scaled(values, 0, 2**file.BitsStored - 1)
    shown = _shown(values, file)
    return 255 - shown if file.PhotometricInterpretation == "MONOCHROME1" else shown


def _shape(file: Any) -> ImageSize:  # noqa: ANN401 - a dataset, of a library that need not be here
    height, width = file.get("Rows", 0), file.get("Columns", 0)
    if not height or not width:
        raise ImageError("it is not a DICOM image, or its header is damaged")
    return int(height), int(width)


def _shown(values: NDArray[Any], file: Any) -> Pixels:  # noqa: ANN401
    """Apply the file's window or table to grey values, and scale them to 0 (black) to 255."""
    from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing

    bits, signed = int(file.BitsStored), bool(file.PixelRepresentation)
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if "VOILUTSequence" in file:
        table = apply_voi(apply_modality_lut(values, file), file, index=0)
        return _scaled(table, 0, 2 ** int(file.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    if "WindowWidth" not in file:
        return _scaled(values, least, most)
    window = apply_windowing(apply_modality_lut(values, file), file, index=0)
    if "ModalityLUTSequence" in file:
        least, most = 0, 2 ** int(file.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    slope, intercept = float(file.get("RescaleSlope", 1)), float(file.get("RescaleIntercept", 0))
    return _scaled(window, least * slope + intercept, most * slope + intercept)


def _scaled(values: NDArray[Any], least: float, most: float) -> Pixels:
    share = (values.astype(np.float64) - least) / (most - least)
    pixels: Pixels = np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)
    return pixels
