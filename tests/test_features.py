"""Two scales of an image on their grids."""

import numpy as np
import pytest
import torch

from ahl.config import FeatureConfig
from ahl.features import FeatureExtractor, as_tensor, two_scales
from small_images import small_image
from tiny import TinyBackbone

CPU = torch.device("cpu")


@pytest.mark.parametrize(("cells", "half"), [(7, 4), (6, 3), (1, 1)])
def test_the_half_scale_has_half_the_cells_rounded_up(cells, half):
    config = FeatureConfig(image_size=48, cells=cells)
    layout = FeatureExtractor(TinyBackbone(), config, CPU).layout
    assert layout.scales == ((24, cells, cells), (24, half, half))  # mean and spread of 12


def test_without_cells_the_grid_and_the_channels_are_the_backbones():
    config = FeatureConfig(image_size=48, cells=0)
    extractor = FeatureExtractor(TinyBackbone(), config, CPU)
    assert extractor.layout.scales == ((12, 6, 6), (12, 3, 3))


def test_rows_are_the_two_scales_side_by_side():
    config = FeatureConfig(image_size=48, cells=4)
    extractor = FeatureExtractor(TinyBackbone(), config, CPU)
    pixels = np.stack([small_image("good", i) for i in range(3)])
    rows = torch.from_numpy(extractor.extract(pixels)).float()
    with torch.inference_mode():
        expected = two_scales(TinyBackbone(), as_tensor(pixels, CPU), 4)
    for ours, theirs in zip(extractor.layout.split(rows), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_another_grid_is_another_cache():
    one, other = (
        FeatureExtractor(TinyBackbone(), FeatureConfig(image_size=48, cells=cells), CPU).identity
        for cells in (4, 5)
    )
    assert one != other


@pytest.mark.parametrize("cells", [-1, 129])
def test_impossible_grids_are_refused(cells):
    with pytest.raises(ValueError, match="cells"):
        FeatureConfig(cells=cells)
