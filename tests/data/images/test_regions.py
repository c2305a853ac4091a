"""Regions of image files, and arrays in files, are images like any other."""

import io

import numpy as np
import pytest
from PIL import Image

from ahl import AHL
from ahl._common.errors import ImageError
from ahl._common.types import GOOD, Region, Sample
from ahl.benchmark.datasets import find_reader
from ahl.data import draw_split
from ahl.data.images.reading import content_hash, image_shape, read_pixels
from ahl.data.images.sources import from_samples, label_images
from ahl.scoring.evaluation import evaluate
from raw_trees import mask, picture, plant
from tiny import TinyBackbone, tiny_config


@pytest.fixture
def photograph(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png", pixels


def saved(path, array):
    with path.open("wb") as stream:  # np.save would add a suffix
        np.save(stream, array)
    return path


def test_a_region_reads_as_the_crop(photograph):
    path, pixels = photograph
    region = read_pixels(Region(path, (2, 1, 7, 4)))
    assert np.array_equal(region, pixels[1:4, 2:7])
    assert region.base is None
    assert np.array_equal(read_pixels(Region(path, (0, 0, 10, 6))), pixels)


@pytest.mark.parametrize(
    "box",
    [(0, 0, 11, 6), (0, 0, 10, 7), (-1, 0, 5, 5), (0, -2, 5, 5), (5, 0, 5, 6), (6, 0, 2, 6)],
)
def test_a_region_must_lie_inside(photograph, box):
    path, _ = photograph
    with pytest.raises(ImageError, match=r"region \(.*\) does not lie inside its 10 x 6 pixels"):
        read_pixels(Region(path, box))


def test_a_regions_file_may_be_unreadable(photograph, tmp_path):
    path, _ = photograph
    with pytest.raises(ImageError, match="more than the 10 allowed"):
        read_pixels(Region(path, (0, 0, 1, 1)), max_pixels=10)
    gone = Region(tmp_path / "gone.png", (0, 0, 1, 1))
    for function in (read_pixels, content_hash):
        with pytest.raises(ImageError, match="no such file"):
            function(gone)


def test_a_region_is_hashed_with_its_box(photograph, tmp_path):
    path, _ = photograph
    copy = tmp_path / "copy.png"
    copy.write_bytes(path.read_bytes())
    boxes = [(0, 0, 5, 5), (0, 0, 5, 6), (1, 0, 5, 5)]
    hashes = [content_hash(Region(path, box)) for box in boxes]
    assert len({*hashes, content_hash(path)}) == 4
    assert [content_hash(Region(copy, box)) for box in boxes] == hashes


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_boxes_and_sizes_are_those_of_the_upright_image(tmp_path, suffix, orientation):
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.arange(240, dtype=np.uint8).reshape(8, 30)).convert("RGB").save(
        path, exif=exif
    )
    pixels = read_pixels(path)
    height, width = pixels.shape[:2]
    assert (width, height) == ((30, 8) if orientation < 5 else (8, 30))
    assert image_shape(path) == (height, width)
    box = (width - 3, height - 4, width, height)
    assert np.array_equal(read_pixels(Region(path, box)), pixels[-4:, -3:])


def test_the_size_of_a_plain_png_is_known_without_its_pixels(photograph, tmp_path):
    path, _ = photograph
    cut = tmp_path / "cut.png"
    cut.write_bytes(path.read_bytes()[:60])
    assert image_shape(cut) == (6, 10)
    with pytest.raises(ImageError):
        read_pixels(cut)
    cut.write_bytes(b"")
    with pytest.raises(ImageError):
        image_shape(cut)


def test_samples_lead_to_their_region(photograph):
    path, _ = photograph
    whole = Sample(path=path, name="a.png", class_name=GOOD)
    part = Sample(path=path, name="a.png#0", class_name=GOOD, box=(0, 0, 2, 2))
    assert (whole.source, part.source) == (path, Region(path, (0, 0, 2, 2)))
    assert [image.source for image in from_samples([whole, part])] == [whole.source, part.source]
    assert hash(part.source) == hash(Region(path, (0, 0, 2, 2)))
    assert label_images([part.source], "dent")[0].name == "dent[0]"


def test_arrays_of_bytes_are_read_as_they_are(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (7, 9, 6), dtype=np.uint8)
    path = saved(tmp_path / "a.npy", values)
    assert np.array_equal(read_pixels(path), values[:, :, :3])
    assert np.array_equal(read_pixels(saved(tmp_path / "b.NPY", values)), values[:, :, :3])
    fortran = saved(tmp_path / "c.npy", np.asfortranarray(values))
    assert np.array_equal(read_pixels(fortran), values[:, :, :3])
    assert read_pixels(fortran).flags.c_contiguous
    first = saved(tmp_path / "d.npy", np.moveaxis(values, -1, 0))
    assert np.array_equal(read_pixels(str(first)), values[:, :, :3])
    assert np.array_equal(read_pixels(Region(path, (1, 2, 3, 5))), values[2:5, 1:3, :3])
    assert content_hash(path) == content_hash(tmp_path / "b.NPY") != content_hash(fortran)


@pytest.mark.parametrize("kind", ["<u2", ">u2"])
def test_sixteen_bits_keep_the_high_byte_however_dark_the_image(tmp_path, kind):
    for top in (300, 65536):
        values = np.random.default_rng(0).integers(0, top, (7, 9, 6)).astype(kind)
        expected = (values[:, :, :3] >> 8).astype(np.uint8)
        assert np.array_equal(read_pixels(saved(tmp_path / "a.npy", values)), expected)


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f8"])
def test_floats_run_from_0_to_1(tmp_path, kind):
    values = np.random.default_rng(0).random((7, 9, 6)).astype(kind)
    values[..., 3:] = np.nan  # channels that are not read
    pixels = read_pixels(saved(tmp_path / "a.npy", values))
    assert np.abs(pixels - values[..., :3].astype(np.float64) * 255).max() <= 0.6
    for wrong in (-0.1, 1.1, np.nan, np.inf):
        values[0, 0, 0] = wrong
        with pytest.raises(ImageError, match="outside 0 to 1"):
            read_pixels(saved(tmp_path / "a.npy", values))


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(4, np.uint8), r"shape \(4,\); give \(height, width\) or"),
        (np.zeros((4, 4, 2), np.uint8), "at least 3 channels"),
        (np.zeros((5, 3, 5), np.uint8), "on neither the last nor the first axis"),
        (np.zeros((0, 4, 3), np.uint8), "at least 3 channels"),
        (np.zeros((4, 4, 0), np.uint8), "at least 3 channels"),
        (np.zeros((40, 40, 3), np.uint8), "more than the 1,000 allowed"),
        (np.zeros((4, 4, 3), np.int64), "holds int64 values; save uint8"),
        (np.zeros((4, 4, 3), np.int8), "holds int8 values"),
        (np.zeros((4, 4, 3), bool), "holds bool values"),
        (np.zeros((4, 4, 3), complex), "holds complex128 values"),
        (np.zeros((4, 4, 3), "<M8[s]"), "holds datetime64"),
        (np.zeros((4, 4, 3), [("é", "u1")]), "format|values"),
        (np.full((4, 4, 3), "x"), "holds <U1 values"),
    ],
)
def test_other_arrays_are_refused(tmp_path, array, reason):
    with pytest.raises(ImageError, match=reason):
        read_pixels(saved(tmp_path / "a.npy", array), max_pixels=1000)


def test_damaged_and_hostile_array_files(tmp_path):
    path = tmp_path / "a.npy"
    values = np.zeros((8, 8, 3), np.uint8)
    whole = saved(path, values).read_bytes()
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ImageError):
            read_pixels(path)
    path.write_bytes(whole[:-1])
    with pytest.raises(ImageError, match="truncated"):
        read_pixels(path)

    np.save(path, np.array([object()]), allow_pickle=True)
    with pytest.raises(ImageError, match="holds object values"):
        read_pixels(path)
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(ImageError, match=r"not a \.npy file"):
        read_pixels(path)
    stream = io.BytesIO()
    np.savez(stream, a=values)
    path.write_bytes(stream.getvalue())
    with pytest.raises(ImageError, match=r"not a \.npy file"):
        read_pixels(path)
    header = whole.replace(b"(8, 8, 3)", b"(9999,9999,3)"[:9].ljust(9))
    path.write_bytes(header)
    with pytest.raises(ImageError):
        read_pixels(path)
    huge = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": (9000, 9000, 6)}
    np.lib.format.write_array_header_1_0(huge, description)
    path.write_bytes(huge.getvalue() + b"\0" * 100)
    with pytest.raises(ImageError, match="truncated"):
        read_pixels(path)
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for place in random.integers(0, 128, 3):
            damaged[place] = random.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            assert read_pixels(path).shape[2] == 3
        except ImageError:
            continue


def test_training_and_testing_on_regions(tmp_path):
    """Bands of one file share it, and are still told apart by what was trained on."""
    tree = {}
    for item in range(12):
        marked = item in (0, 1, 2)
        tree[f"kos{item:02}/Part0.jpg"] = picture(item, 32, 96, ".jpg")
        tree[f"kos{item:02}/Part0_label.bmp"] = mask(32, 96, *[(9, 40)] * marked, suffix=".bmp")
    (dataset,) = find_reader("sdd").read(plant(tmp_path, tree))
    split = draw_split(dataset, anomalies=2)
    detector = AHL(backbone=TinyBackbone(), config=tiny_config(epochs=1)).fit_split(split)
    result = evaluate(detector.scorer, dataset)
    assert {one.sample for one in result.scored} == set(split.test)
    assert result.left_out == len(split.normals) + 2
    assert result.skipped == ()
