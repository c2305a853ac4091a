"""DICOM images are read as the file says that they are to be shown."""

import io

import numpy as np
import pytest

from ahl._common.errors import ImageError
from ahl.data.images.finding import find_photographs
from ahl.data.images.reading import image_shape, read_pixels, read_stream

pydicom = pytest.importorskip("pydicom")

TWELVE = np.linspace(0, 4095, 48).astype(np.uint16).reshape(6, 8)
EIGHT = np.rint(TWELVE / 4095 * 255).astype(np.uint8)


def dicom(values, *, stored=None, photometric="MONOCHROME2", **tags) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = Dataset()
    file.file_meta = meta
    file.SOPClassUID, file.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    file.Rows, file.Columns = values.shape[-2:] if photometric != "RGB" else values.shape[:2]
    file.SamplesPerPixel = 3 if photometric == "RGB" else 1
    if file.SamplesPerPixel == 3:
        file.PlanarConfiguration = 0
    file.PhotometricInterpretation = photometric
    file.BitsAllocated = 8 * values.dtype.itemsize
    file.BitsStored = stored or file.BitsAllocated
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(values.dtype.kind == "i")
    for name, value in tags.items():
        setattr(file, name, value)
    file.PixelData = values.tobytes()
    stream = io.BytesIO()
    file.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def grey(content: bytes, name: str = "") -> np.ndarray:
    pixels = read_stream(io.BytesIO(content), name)
    assert (pixels == pixels[:, :, :1]).all()
    return pixels[:, :, 0]


def test_stored_bits_are_scaled_whatever_the_values_are():
    np.testing.assert_array_equal(grey(dicom(TWELVE, stored=12)), EIGHT)
    half = grey(dicom(TWELVE // 2, stored=12))
    assert np.abs(half.astype(int) - EIGHT // 2).max() <= 1
    np.testing.assert_array_equal(grey(dicom(EIGHT)), EIGHT)


def test_monochrome_1_is_inverted():
    inverted = dicom(4095 - TWELVE, stored=12, photometric="MONOCHROME1")
    assert np.abs(grey(inverted).astype(int) - EIGHT).max() <= 1


def test_the_window_is_applied_after_slope_and_intercept():
    """A CT slice: stored from 0, in Hounsfield units from -1024, shown from -100 to 300."""
    content = dicom(
        TWELVE,
        stored=12,
        RescaleSlope="1",
        RescaleIntercept="-1024",
        WindowCenter="100",
        WindowWidth="400",
    )
    units = TWELVE.astype(float) - 1024
    # DICOM PS3.3 C.11.2.1.2.1
    expected = np.clip(((units - 99.5) / 399 + 0.5) * 255, 0, 255)
    assert np.abs(grey(content) - expected).max() <= 1


def test_signed_values_begin_below_zero():
    signed = (TWELVE.astype(np.int32) - 2048).astype(np.int16)
    assert np.abs(grey(dicom(signed, stored=12)).astype(int) - EIGHT).max() <= 1


def test_colours_and_the_first_frame():
    colours = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    pixels = read_stream(io.BytesIO(dicom(colours, photometric="RGB")))
    np.testing.assert_array_equal(pixels, colours)
    frames = dicom(np.stack([EIGHT, EIGHT // 2]), NumberOfFrames=2)
    np.testing.assert_array_equal(grey(frames), EIGHT)


def test_they_are_found_in_folders_and_their_shape_is_known(tmp_path):
    (tmp_path / "a.DCM").write_bytes(dicom(TWELVE, stored=12))
    (path,) = find_photographs(tmp_path).images
    assert image_shape(path) == TWELVE.shape
    np.testing.assert_array_equal(read_pixels(path)[:, :, 0], EIGHT)
    with pytest.raises(ImageError, match="allowed"):
        read_pixels(path, max_pixels=47)


@pytest.mark.parametrize("cut", [100, 140, 400, -20])
def test_damaged_files_are_image_errors(cut):
    content = dicom(TWELVE, stored=12)[:cut]
    with pytest.raises(ImageError):
        read_stream(io.BytesIO(content), "a.dcm")


def test_other_files_of_that_suffix_are_image_errors():
    for content in (b"hello", bytes(500), b"\xff\xd8\xff\xe0" + bytes(300)):
        with pytest.raises(ImageError):
            read_stream(io.BytesIO(content), "a.dcm")
