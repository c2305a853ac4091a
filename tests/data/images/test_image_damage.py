"""Whatever a file holds, reading it gives pixels or an `ImageError` with a short reason."""

import io
import os
import stat
import struct
import threading
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from ahl._common.errors import ImageError
from ahl.data.images.reading import content_hash, read_pixels
from ahl.data.images.resizing import resize_pixels

PIXELS = np.random.default_rng(7).integers(0, 256, (19, 23, 3), dtype=np.uint8)
WRITERS = {
    "png": {"format": "PNG"},
    "jpeg": {"format": "JPEG"},
    "progressive": {"format": "JPEG", "progressive": True},
    "bmp": {"format": "BMP"},
    "tiff": {"format": "TIFF"},
    "tiff_lzw": {"format": "TIFF", "compression": "tiff_lzw"},
    "tiff_deflate": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    "webp": {"format": "WEBP"},
    "webp_lossless": {"format": "WEBP", "lossless": True},
    "gif": {"format": "GIF"},
    "jpeg2000": {"format": "JPEG2000"},
}


def written(options: dict[str, object]) -> bytes:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6
    extra = {} if options["format"] in ("BMP", "GIF", "JPEG2000") else {"exif": exif}
    Image.fromarray(PIXELS).save(stream, **options, **extra)
    return stream.getvalue()


FILES = {name: written(options) for name, options in WRITERS.items()}


def png_header(width: int, height: int) -> bytes:
    data = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + data + struct.pack(">I", zlib.crc32(data))
    rows = b"IDAT" + zlib.compress(bytes(1000))
    rows = struct.pack(">I", len(rows) - 4) + rows + struct.pack(">I", zlib.crc32(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk + rows


def refusal(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        read_pixels(path)
    reason = str(caught.value)
    assert 0 < len(reason) < 200
    assert reason.isprintable()
    assert not reason.endswith(".")
    assert path.name not in reason
    return reason


def check_pixels_or_refusal(folder: Path, content: bytes) -> None:
    path = folder / "damaged.png"
    path.write_bytes(content)
    try:
        pixels = read_pixels(path, max_pixels=1_000_000)
    except ImageError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.shape[0] * pixels.shape[1] <= 1_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damage")


@pytest.mark.parametrize("name", FILES)
def test_the_whole_file_reads(folder, name):
    (folder / "whole").write_bytes(FILES[name])
    pixels = read_pixels(folder / "whole")
    assert pixels.shape in ((19, 23, 3), (23, 19, 3))


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_is_refused(folder, name, share):
    content = FILES[name]
    (folder / "cut.png").write_bytes(content[: int(len(content) * share)])
    reason = refusal(folder / "cut.png")
    assert "damaged" in reason


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=60, derandomize=True)
@given(data=st.data())
def test_cut_and_altered_files(folder, name, data):
    content = bytearray(FILES[name])
    # Half of the flips fall into the first 200 bytes, where the headers are.
    places = st.integers(0, min(200, len(content)) - 1) | st.integers(0, len(content) - 1)
    for place, bits in data.draw(st.lists(st.tuples(places, st.integers(1, 255)), max_size=6)):
        content[place] ^= bits
    cut = data.draw(st.just(len(content)) | st.integers(0, len(content)))
    check_pixels_or_refusal(folder, bytes(content[:cut]))


@settings(max_examples=60, derandomize=True)
@given(
    start=st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"BM", b"II*\0\x08\0\0\0", b"GIF89a"]
    ),
    rest=st.binary(max_size=300),
)
def test_rubbish_after_a_magic_number(folder, start, rest):
    check_pixels_or_refusal(folder, start + rest)


@pytest.mark.parametrize("side", [10_001, 12_000, 30_000, 2_000_000_000])
def test_bombs_are_refused_by_their_header(tmp_path, side):
    # Pillow itself would let the first pass, warn of the second, and raise for the others.
    (tmp_path / "bomb.png").write_bytes(png_header(side, side))
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    assert "pixels" in refusal(tmp_path / "bomb.png")
    after = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    assert before == after


def test_the_limit_is_exact(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        for source in (tmp_path / "a.png", image, PIXELS):
            assert read_pixels(source, max_pixels=19 * 23).shape == (19, 23, 3)
            with pytest.raises(ImageError, match="23 x 19 pixels, more than the 436 allowed"):
                read_pixels(source, max_pixels=19 * 23 - 1)


def test_files_that_are_no_images(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "drawing.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (tmp_path / "folder.png").mkdir()
    assert refusal(tmp_path / "empty.png") == "the file is empty"
    assert "not a PNG" in refusal(tmp_path / "text.png")
    assert "not a PNG" in refusal(tmp_path / "drawing.png")
    assert "folder" in refusal(tmp_path / "folder.png")
    assert refusal(tmp_path / "missing.png") == "there is no such file"
    assert refusal(tmp_path / ("x" * 5000))
    assert refusal(tmp_path / "a\0b.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert stat.S_ISFIFO((tmp_path / "pipe.png").stat().st_mode)
    assert refusal(tmp_path / "pipe.png") == "it is not a regular file"


def test_permission_and_device_errors(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(FILES["png"])
    for error, reason in [
        (PermissionError(13, "Permission denied"), "no permission"),
        (OSError(5, "Input/output error"), "Input/output error"),
    ]:

        def fail(*_, error=error, **__):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", fail)
            assert reason in refusal(path)
            with pytest.raises(ImageError, match=reason):
                content_hash(path)


@pytest.mark.parametrize("error", [MemoryError(), OverflowError(), RecursionError("deep")])
def test_any_exception_of_a_decoder_is_an_image_error(tmp_path, monkeypatch, error):
    def fail(_):
        raise error

    path = tmp_path / "a.png"
    path.write_bytes(FILES["png"])
    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    assert refusal(path)


def test_unreadable_exif_does_not_cost_the_image(tmp_path, monkeypatch):
    def fail(_):
        raise SyntaxError("not a TIFF file")

    path = tmp_path / "a.png"
    path.write_bytes(FILES["png"])
    monkeypatch.setattr(Image.Image, "getexif", fail)
    np.testing.assert_array_equal(read_pixels(path), PIXELS)


def test_a_device_error_while_hashing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    path = tmp_path / "a.png"
    path.write_bytes(FILES["png"])
    monkeypatch.setattr("hashlib.file_digest", fail)
    with pytest.raises(ImageError, match="Input/output error"):
        content_hash(path)


def test_threads_restore_the_warning_filters(tmp_path):
    good, bomb = tmp_path / "a.png", tmp_path / "b.png"
    good.write_bytes(FILES["png"])
    bomb.write_bytes(png_header(12_000, 12_000))
    before = list(warnings.filters)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(30):
                assert read_pixels(good).shape == (23, 19, 3)
                assert "12000 x 12000" in refusal(bomb)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert list(warnings.filters) == before


@pytest.mark.parametrize("wide", [False, True], ids=["tiff", "bigtiff"])
def test_a_tiff_file_of_too_many_strips_is_refused_before_they_are_read(wide, tmp_path):
    """Of a million, Pillow makes as many objects, for an image of 64 pixels."""
    count = 2**18 + 1
    file = written({"format": "TIFF", "big_tiff": wide})
    tag = struct.pack("<HH", 273, 4)
    assert file.count(tag) == 1
    path = tmp_path / "a.tif"
    path.write_bytes(file)
    assert read_pixels(path).shape == (23, 19, 3)
    place = file.index(tag) + 4
    size = 8 if wide else 4
    path.write_bytes(file[:place] + count.to_bytes(size, "little") + file[place + size :])
    assert "262,145 pieces" in refusal(path)


@pytest.mark.parametrize("options", [{"format": "PNG"}, {"format": "JPEG", "exif": True}])
def test_decoding_takes_little_more_than_the_pixels(options, tmp_path):
    """In the process itself 3 bytes a pixel, and 4 in Pillow's own memory, which is not traced."""
    side = 1500
    if options.pop("exif", False):
        options["exif"] = Image.Exif()
        options["exif"][274] = 6
    path = tmp_path / "a"
    Image.new("RGB", (side, side), (9, 8, 7)).save(path, **options)
    tracemalloc.start()
    pixels = read_pixels(path)
    resize_pixels(pixels, (64, 64))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3.7 * side * side
