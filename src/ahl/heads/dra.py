"""DRA's four heads (Ding, Pang and Shen, "Catching Both Gray and Black Swans", CVPR 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from ahl._common.types import Kind
from ahl.features.maps import FeatureMaps
from ahl.heads.base import (
    BaseDetector,
    HeadScores,
    Parameters,
    PositionScores,
    Statistics,
    fan_in_uniform,
    top_mean,
)
from ahl.heads.losses import deviation_loss, weighted_mean

NORM_EPSILON = 1e-5


@final
class DRA(BaseDetector):
    """DRA: holistic, seen, pseudo and residual heads, each averaged over the scales.

    Image score = seen + pseudo + residual - holistic. The loss is the sum of the four heads'
    deviation losses, each averaged over the kinds that train it.
    """

    name = "dra"
    head_names: ClassVar[tuple[str, ...]] = ("holistic", "seen", "pseudo", "residual")
    meanings: ClassVar[Mapping[str, str]] = {
        "holistic": "as a whole unlike a good part",
        "seen": "like a defect seen in training",
        "pseudo": "like a synthetic defect",
        "residual": "unlike the usual good part",
    }

    @property
    def residual_channels(self) -> int:
        """Output channels of the residual head's convolution."""
        return self.config.residual_channels or self.layout.channels

    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """Initialise two linear layers, the 1x1 maps, and a 3x3 convolution with batch norm."""
        channels, width = self.layout.channels, self.residual_channels
        hidden, bottleneck = self.config.holistic_hidden, self.config.residual_bottleneck
        taken, scale = bottleneck or channels, self.config.initial_scale
        reduce = (
            {"residual.reduce.weight": fan_in_uniform((channels, bottleneck), channels, generator)}
            if bottleneck
            else {}
        )
        return reduce | {
            "holistic.hidden.weight": fan_in_uniform((channels, hidden), channels, generator),
            "holistic.hidden.bias": fan_in_uniform((hidden,), channels, generator),
            "holistic.output.weight": fan_in_uniform((hidden,), hidden, generator),
            "holistic.output.bias": fan_in_uniform((), hidden, generator),
            "seen.weight": scale * fan_in_uniform((channels,), channels, generator),
            "seen.bias": scale * fan_in_uniform((), channels, generator),
            "pseudo.weight": scale * fan_in_uniform((channels,), channels, generator),
            "pseudo.bias": scale * fan_in_uniform((), channels, generator),
            "residual.conv.weight": fan_in_uniform((9, taken, width), 9 * taken, generator),
            "residual.norm.weight": torch.ones(width),
            "residual.norm.bias": torch.zeros(width),
            "residual.weight": fan_in_uniform((width,), width, generator),
            "residual.bias": fan_in_uniform((), width, generator),
        }

    def initial_statistics(self) -> Statistics:
        """Batch-norm means and variances, separate for each scale: (scales, width)."""
        shape = (len(self.layout.scales), self.residual_channels)
        return {"residual.norm.mean": torch.zeros(shape), "residual.norm.var": torch.ones(shape)}

    def forward(
        self,
        parameters: Parameters,
        statistics: Statistics,
        maps: FeatureMaps,
        references: FeatureMaps,
        *,
        training: bool,
    ) -> tuple[HeadScores, Statistics]:
        """Score a batch with the four heads."""
        pooled = torch.stack([scale.mean(dim=(-2, -1)) for scale in maps])  # (scales, N, C)
        hidden = torch.relu(
            pooled @ parameters["holistic.hidden.weight"] + parameters["holistic.hidden.bias"]
        )
        holistic = (
            hidden @ parameters["holistic.output.weight"] + parameters["holistic.output.bias"]
        )
        by_scale = [
            self._position_heads(
                parameters,
                (statistics["residual.norm.mean"][i], statistics["residual.norm.var"][i]),
                scale_maps.movedim(-3, -1),
                reference.movedim(-3, -1),
                training=training,
            )
            for i, (scale_maps, reference) in enumerate(zip(maps, references, strict=True))
        ]
        found = torch.stack(
            [top_mean(heads.abs().flatten(-2), self.config.top_fraction) for heads, _ in by_scale]
        ).mean(dim=0)
        scores = {"holistic": holistic.mean(dim=0)}
        scores |= dict(zip(self.head_names[1:], found, strict=True))
        return scores, {
            "residual.norm.mean": torch.stack([mean for _, (mean, _) in by_scale]),
            "residual.norm.var": torch.stack([variance for _, (_, variance) in by_scale]),
        }

    def position_scores(
        self,
        parameters: Parameters,
        statistics: Statistics,
        maps: FeatureMaps,
        references: FeatureMaps,
    ) -> tuple[PositionScores, ...]:
        """Absolute values of the seen, pseudo and residual heads' maps."""
        found = []
        for i, (scale, reference) in enumerate(zip(maps, references, strict=True)):
            running = statistics["residual.norm.mean"][i], statistics["residual.norm.var"][i]
            heads, _ = self._position_heads(
                parameters,
                running,
                scale.movedim(-3, -1),
                reference.movedim(-3, -1),
                training=False,
            )
            found.append(dict(zip(self.head_names[1:], heads.abs(), strict=True)))
        return tuple(found)

    def _position_heads(
        self,
        parameters: Parameters,
        running: tuple[Tensor, Tensor],
        maps: Tensor,
        reference: Tensor,
        *,
        training: bool,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Signed position scores of the seen, pseudo and residual heads at one scale.

        Args:
            parameters: all parameters.
            running: (R,) running mean and variance of the batch norm at this scale.
            maps: (N, H, W, C).
            reference: (H, W, C).
            training: as in `forward`.

        Returns:
            (3, N, H, W), and the running statistics after the batch.
        """
        # Every linear map of single positions at once: reading the maps is what costs.
        weights = [parameters[f"{name}.weight"].unsqueeze(-1) for name in ("seen", "pseudo")]
        reduce = parameters.get("residual.reduce.weight")
        if reduce is None:
            seen, pseudo = map_positions(maps, torch.cat(weights, dim=-1)).unbind(dim=-1)
            differences = reference - maps
        else:
            mapped = map_positions(maps, torch.cat([*weights, -reduce], dim=-1))
            seen, pseudo, negative = torch.split(mapped, [1, 1, reduce.shape[-1]], dim=-1)
            seen, pseudo = seen.squeeze(-1), pseudo.squeeze(-1)
            differences = negative + reference @ reduce
        responses = convolve(differences, parameters["residual.conv.weight"])
        normalised, updated = _batch_norm(
            responses,
            parameters["residual.norm.weight"],
            parameters["residual.norm.bias"],
            running,
            training=training,
            momentum=self.config.norm_momentum,
        )
        residual = torch.relu(normalised) @ parameters["residual.weight"]
        heads = [seen, pseudo, residual]
        biases = [parameters[f"{name}.bias"] for name in self.head_names[1:]]
        heads = [head + bias for head, bias in zip(heads, biases, strict=True)]
        return torch.stack(heads), updated

    def loss(self, scores: HeadScores, kinds: Tensor) -> Tensor:
        """Sum of the heads' deviation losses, each a weighted mean over the kinds that train it."""
        anomalous = kinds != Kind.NORMAL
        holistic, residual = float(self.config.holistic_pseudo), self.config.pseudo_weight
        # Of the four heads: the weight of a normal, of a labelled and of a pseudo anomaly.
        weights = torch.tensor(
            [[1.0, 1.0, holistic], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [1.0, 1.0, residual]],
            device=kinds.device,
        )
        # The holistic head's target is 1 for a *normal* image.
        labels = torch.stack([~anomalous, anomalous, anomalous, anomalous])
        losses = deviation_loss(
            torch.stack([scores[head] for head in self.head_names]),
            labels,
            prior=self.prior,
            margin=self.config.margin,
        )
        return weighted_mean(losses, weights[:, kinds]).sum()

    def combine(self, scores: HeadScores) -> Tensor:
        """Seen + pseudo + residual - holistic."""
        return scores["seen"] + scores["pseudo"] + scores["residual"] - scores["holistic"]

    def evidence(self, scores: HeadScores) -> HeadScores:
        """The heads' scores, with the holistic one, which is high for normals, negated."""
        return {**scores, "holistic": -scores["holistic"]}

    @property
    def expected_scores(self) -> tuple[float, float]:
        """Minus the margin for a normal, twice the margin for an anomaly.

        For a normal the holistic head reaches the margin; for an anomaly the residual head, and the
        seen or pseudo head.
        """
        return 3 * self.prior.mean - self._margin, 2 * self._margin

    @property
    def _margin(self) -> float:
        """Score of an anomaly from which on the loss is 0."""
        return self.prior.mean + self.config.margin * self.prior.deviation


def map_positions(maps: Tensor, weight: Tensor) -> Tensor:
    """Apply a linear map at every position: (N, H, W, C), (C, R) -> (N, H, W, R).

    It is a 1x1 convolution, which torch computes up to twice as fast as a matrix product on a CPU.
    """
    kernel = weight.T[..., None, None]
    return functional.conv2d(maps.movedim(-1, -3), kernel).movedim(-3, -1)


def convolve(maps: Tensor, weight: Tensor) -> Tensor:
    """Apply a 3x3 convolution with zero padding: (N, H, W, C), (9, C, R) -> (N, H, W, R)."""
    kernel = weight.view(3, 3, *weight.shape[-2:]).permute(3, 2, 0, 1)
    return functional.conv2d(maps.movedim(-1, -3), kernel, padding=1).movedim(-3, -1)


def _batch_norm(
    responses: Tensor,
    weight: Tensor,
    bias: Tensor,
    running: tuple[Tensor, Tensor],
    *,
    training: bool,
    momentum: float,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Normalise (N, H, W, R) by the batch's, or by the running (R,) statistics.

    torch's own function updates its buffers in place, which a pure function under `vmap` and `grad`
    must not do, and its second derivative under both differs. Sums are divided, and means negated,
    as vectors (R,), so that their gradients are, too.
    """
    count = responses[..., 0].numel()
    mean, variance = running
    if training:
        mean = responses.sum(dim=(0, 1, 2)) / count
    centred = responses + -mean
    if training:
        variance = centred.square().sum(dim=(0, 1, 2)) / count
        unbiased = variance.detach() * (count / max(1, count - 1))
        moved = mean.detach() - running[0], unbiased - running[1]
        running = running[0] + momentum * moved[0], running[1] + momentum * moved[1]
    scale = weight * torch.rsqrt(variance + NORM_EPSILON)
    return torch.addcmul(bias, centred, scale), running
