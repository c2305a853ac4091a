"""Good images from which nothing can be learned are refused, and doubtful ones said."""

import numpy as np
import pytest
from PIL import Image

from ahl._common.errors import DataError
from ahl.data.images.sources import image_item
from ahl.data.images.variety import check_variety, notes_on

RANDOM = np.random.default_rng(0)


def items(pictures):
    return [image_item(one, f"{n}.png", (40, 40)) for n, one in enumerate(pictures)]


def speckled(picture, number):
    picture = picture.copy()
    picture[0, 0] = number % 5
    return picture


def test_pictures_of_one_tone_are_refused():
    black = np.zeros((40, 40, 3), np.uint8)
    for tones in ([0] * 4, [0, 100, 200, 255]):
        pictures = [speckled(black + np.uint8(tone), n) for n, tone in enumerate(tones)]
        with pytest.raises(DataError, match=r"The 4 good images .*0\.png.* are blank"):
            check_variety(items(pictures))


def test_one_picture_several_times_is_refused():
    photo = RANDOM.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    pictures = [speckled(photo, number) for number in range(30)]
    with pytest.raises(DataError, match=r"30 good images \(16 examined.*show the same picture"):
        check_variety(items(pictures))


def test_photographs_of_one_rig_are_not():
    """They differ by the camera's noise alone, or by where a small thing is."""
    photo = RANDOM.integers(40, 200, (40, 40, 3))
    noisy = [(photo + RANDOM.normal(0, 3, photo.shape)).astype(np.uint8) for _ in range(4)]
    check_variety(items(noisy))
    moved = [np.zeros((40, 40, 3), np.uint8) for _ in range(4)]
    for number, picture in enumerate(moved):
        picture[5 + number, 5:10] = 255
    check_variety(items(moved))
    one_differs = [photo.astype(np.uint8)] * 3 + noisy[:1]
    check_variety(items(one_differs))


def test_few_images_are_said():
    pictures = list(RANDOM.integers(0, 256, (10, 8, 8), dtype=np.uint8))
    (note,) = notes_on(pictures[:3])
    assert note.startswith("With only 3 good images,")
    assert list(notes_on(pictures)) == []


@pytest.mark.parametrize("suffix", ["png", "tif", "npy"])
def test_twelve_bits_in_sixteen_are_noticed(tmp_path, suffix):
    values = RANDOM.integers(0, 4096, (12, 8, 8), dtype=np.uint16)

    def kept(number, scaled):
        path = tmp_path / f"{number}.{suffix}"
        if suffix == "npy":
            np.save(path, scaled)
        else:
            Image.fromarray(scaled).save(path)
        return path

    (note,) = notes_on([kept(n, one) for n, one in enumerate(values)])
    assert "12 bits? Then they are read 16 times too dark" in note
    paths = [kept(n, one) for n, one in enumerate(values)]
    kept(0, values[0] * 16)  # one bright image is enough to know
    assert list(notes_on(paths)) == []
