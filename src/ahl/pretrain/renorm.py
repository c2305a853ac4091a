"""Batch renormalisation (Ioffe, 2017): a network that is trained as it will be used.

The nine pictures of a group look alike, so that the statistics of a batch are those of a few
materials and differ from batch to batch. Trained on them, a network is another one than with the
running statistics that it is used with: in a trial its maps correlated by 0.8 to 0.95 only.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

MOMENTUM: Final = 0.1
WIDEST_SCALE: Final = 3.0
"""How far a batch's spread may be from the running one; the paper's r_max."""

FARTHEST_SHIFT: Final = 5.0
"""How far its mean may be, in running spreads; the paper's d_max."""

MANY: Final = 64
"""Pictures from which on the statistics are those of every third."""


class BatchRenorm(nn.BatchNorm2d):
    """A `BatchNorm2d` whose output in training is that of the running statistics.

    Of many pictures, every third is measured: then the output is that of the running statistics
    but for what the measured pictures differ from all. Gradients go through the batch's own
    statistics, which keeps the training stable. Parameters, buffers and use outside of training
    are those of `BatchNorm2d`.

    Attributes:
        freedom: 0 for plain batch normalisation to 1 for the limits above; to be raised while
            the running statistics settle.
    """

    freedom: float = 0.0

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        if not self.training:
            return super().forward(maps)
        assert self.running_mean is not None
        assert self.running_var is not None
        # Pictures of a group are alike: a third of them tells nearly all, in a third of the time.
        stride = 3 if len(maps) >= MANY else 1
        with torch.no_grad():
            variance, mean = torch.var_mean(maps[::stride].float(), dim=(0, 2, 3), correction=0)
            spread = (self.running_var + self.eps).sqrt()
            widest = 1 + (WIDEST_SCALE - 1) * self.freedom
            scale = ((variance + self.eps).sqrt() / spread).clamp(1 / widest, widest)
            farthest = FARTHEST_SHIFT * self.freedom
            shift = ((mean - self.running_mean) / spread).clamp(-farthest, farthest)
            self.running_mean.lerp_(mean, MOMENTUM)
            self.running_var.lerp_(variance, MOMENTUM)
        return functional.batch_norm(
            maps,
            None,
            None,
            weight=self.weight * scale,
            bias=self.bias + self.weight * shift,
            training=True,
            eps=self.eps,
        )


def renormalise(network: nn.Module) -> list[BatchRenorm]:
    """Put a `BatchRenorm` in the place of every `BatchNorm2d`, with its tensors.

    Returns:
        them, in the order of the network.
    """
    placed = []
    for name, module in list(network.named_modules()):
        if type(module) is not nn.BatchNorm2d:
            continue
        renorm = BatchRenorm(module.num_features, eps=module.eps)
        renorm.load_state_dict(module.state_dict())
        renorm.train(module.training)
        parent, _, own = name.rpartition(".")
        setattr(network.get_submodule(parent), own, renorm)
        placed.append(renorm)
    return placed
