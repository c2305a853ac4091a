"""A trained model as one module: uint8 images in, everything that is said of them out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ahl._common.errors import NotFittedError
from ahl.features.extractor import bounded_scales
from ahl.model.trained import TrainedModel
from ahl.scoring.forward import Forward


class ScoringGraph(nn.Module):
    """Backbone, preparation, heads and calibration, all images of a batch at once.

    The arithmetic is that of scoring in this package, step by step; only the order of sums may
    differ with the number of images.

    Args:
        model: trained on images; its backbone is moved to the CPU.

    Attributes:
        outputs: names of what comes out, in order; see `ahl.scoring.outputs`.

    Raises:
        NotFittedError: if it was trained on feature maps.
    """

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        if model.backbone is None:
            raise NotFittedError(
                "This detector was trained on feature maps: there is no backbone to export."
            )
        self.backbone = model.backbone.eval().cpu()
        self.image_size = model.config.features.size
        self._tiles = model.config.features.tiles
        self._preparation = model.preparation
        self._forward = Forward(model)
        with torch.no_grad():  # what is computed once is then a constant of the graph
            found = self(torch.zeros(1, *self.image_size, 3, dtype=torch.uint8))
        self.outputs = tuple(found)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Score images (N, *image_size, 3), uint8."""
        pixels = images.permute(0, 3, 1, 2).float() / 255.0
        scales = bounded_scales(self.backbone, pixels, self._tiles)
        return self._forward(self._preparation.of_maps(scales), heat_maps=True, nearest=True)
