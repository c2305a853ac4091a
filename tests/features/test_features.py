"""Rows of images: two scales side by side, and what they are kept under."""

import numpy as np
import torch

from ahl._common.types import ImageItem
from ahl.config import FeatureConfig
from ahl.features.extractor import FeatureExtractor, as_tensor, extract_table
from ahl.features.store import FeatureStore
from small_images import small_image
from tiny import TinyBackbone

CPU = torch.device("cpu")


def extractor(size=48):
    return FeatureExtractor(TinyBackbone(), FeatureConfig(image_size=(size, size)), CPU)


def test_rows_are_the_maps_at_full_and_at_half_size_side_by_side():
    pixels = np.stack([small_image("good", i) for i in range(3)])
    rows, layout = torch.from_numpy(extractor().extract(pixels)), extractor().layout
    assert layout.scales == ((12, 6, 6), (12, 3, 3))
    images = as_tensor(pixels, CPU)
    half = images.unflatten(2, (24, 2)).unflatten(4, (24, 2)).mean(dim=(3, 5))
    with torch.inference_mode():
        expected = TinyBackbone()(images), TinyBackbone()(half)
    for ours, theirs in zip(layout.split(rows), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_rows_of_another_size_or_backbone_are_kept_apart():
    other = FeatureExtractor(TinyBackbone(seed=1), FeatureConfig(image_size=(48, 48)), CPU)
    identities = [str(each.identity) for each in (extractor(), extractor(64), other)]
    assert len(set(identities)) == 3
    assert str(extractor().identity) == identities[0]


def test_other_shapes_than_squares_are_extracted_and_kept_apart():
    wide, tall = (
        FeatureExtractor(TinyBackbone(), FeatureConfig(image_size=size), CPU)
        for size in ((48, 64), (64, 48))
    )
    assert wide.layout.scales == ((12, 6, 8), (12, 3, 4))
    assert wide.extract(np.zeros((2, 48, 64, 3), np.uint8)).shape == (2, wide.layout.row_size)
    assert wide.identity["image_size"] == [48, 64] != tall.identity["image_size"]


def test_a_flipped_bit_in_the_cache_is_no_feature_of_the_next_run(tmp_path):
    def item(number):
        return ImageItem(name="", key=f"{number}", load=lambda: small_image("good", number))

    found, items = extractor(), [item(number) for number in range(3)]

    def rows():
        store = FeatureStore(tmp_path, found.identity, found.layout)
        return extract_table(found, items, store)[0].rows(np.arange(3))

    expected = rows()
    (shard,) = tmp_path.glob("*/*.npy")
    rotten = bytearray(shard.read_bytes())
    rotten[-1000] ^= 0x40
    shard.write_bytes(bytes(rotten))
    assert torch.equal(rows(), expected)
    assert torch.equal(rows(), expected)
