"""A file that changes between its hash and its reading is not read."""

import os

import numpy as np
import pytest
from PIL import Image

from ahl._common.callbacks import Callback
from ahl._common.errors import ImageError
from ahl._common.types import Pinned, Region
from ahl.config import FeatureConfig
from ahl.data.images.reading import content_hash, image_shape, read_pixels
from ahl.data.images.sources import first_readable, image_item, label_images, readable_items
from ahl.data.pictures import look_at
from small_images import small_image

SMALL = FeatureConfig(image_size=(32, 32))
CHANGED = "it changed while it was used"


@pytest.fixture
def path(tmp_path):
    Image.fromarray(small_image("good", 0)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def replaced(path):
    """Another image of the same size, at the same time: only its bytes tell."""
    before = path.stat()
    Image.fromarray(small_image("dot", 1)).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("box", [None, (4, 4, 20, 12)])
def test_only_the_bytes_that_were_hashed_are_decoded(path, box):
    source = path if box is None else Region(path, box)
    item = image_item(source, "a", (16, 16))
    pinned = Pinned(source, item.key)
    assert np.array_equal(read_pixels(pinned), read_pixels(source))
    assert content_hash(pinned) == content_hash(source) == item.key
    assert image_shape(pinned) == image_shape(source)
    assert item.load().shape == (16, 16, 3)
    replaced(path)
    for read in (item.load, lambda: read_pixels(pinned)):
        with pytest.raises(ImageError, match=CHANGED):
            read()
    path.unlink()
    with pytest.raises(ImageError, match="no such file"):
        item.load()


def test_whatever_reads_a_training_image_again_reads_the_same(path):
    images, _ = readable_items(
        label_images([path], "good"), SMALL, decode=False, strict=True, callback=Callback()
    )
    replaced(path)
    pictures, skipped = look_at(images, Callback())
    assert not pictures
    assert [one.reason for one in skipped] == [CHANGED]


def test_the_first_that_is_still_there_is_decoded(path, tmp_path):
    other = tmp_path / "b.png"
    Image.fromarray(small_image("good", 1)).save(other)
    items = [image_item(one, one.name, (16, 16)) for one in (path, other)]
    replaced(path)
    assert np.array_equal(first_readable(items), items[1].load())
    with pytest.raises(ImageError, match=CHANGED):
        first_readable(items[:1])
