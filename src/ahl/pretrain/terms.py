"""What the embedded backbone is refined for, a pure function a term.

Maps are (G, 9, C, H, W): G groups, each of four good pictures, three with one kind of
defect, a good one and the same with a defect drawn anew (`synthetic.DrawnGroup`). Labels are those
of `cell_labels`, (G, 9, H, W).
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from ahl.synthetic.groups import LIKE, NORMALS, PICTURES

SUPPORT: Final = (0, 1, NORMALS, NORMALS + 1)
"""Pictures that `few_shot_loss` learns from: two good ones, two with the first kind of defect."""

QUERY: Final = tuple(place for place in range(PICTURES) if place not in SUPPORT)
"""Those that it is judged on."""

MARGIN: Final = 0.5
"""By how much the logarithm of a defect's distance shall exceed that of a sound cell's."""

SHARPNESS: Final = 4.0
RIDGE: Final = 0.1
"""Of the regression in `few_shot_loss`, in mean squares of the features."""

COSINE_SCALE: Final = 16.0
SHOWN: Final = 2
"""Good pictures whose mean stands for a group in `prototype_loss`."""


def ranking_loss(maps: Tensor, labels: Tensor) -> Tensor:
    """Defective cells shall lie farther from a group's normal cells than sound cells do.

    The distance is that of a memory of normal patches (PatchCore, section 3): of a cell, averaged
    with its neighbours, to the nearest cell of the four normals. Only ratios of distances count, so
    that no scale of the features is better than another.

    Returns:
        mean over groups, over their defective cells and over the tenth of their sound cells that
        lie farthest, of a logistic loss on the difference of logarithms.
    """
    groups, pictures, channels, height, width = maps.shape
    averaged = functional.avg_pool2d(
        maps.flatten(0, 1), 3, stride=1, padding=1, count_include_pad=False
    ).view(groups, pictures, channels, height * width)
    normals = averaged[:, :NORMALS].transpose(2, 3).flatten(1, 2)
    others = averaged[:, NORMALS:].transpose(2, 3).flatten(1, 2)
    distances = _log_distances(others, normals)
    kinds = labels[:, NORMALS:].flatten(1)
    losses = []
    for own, kind in zip(distances, kinds, strict=True):
        defective, sound = own[kind > 0], own[kind == 0]
        if len(defective) == 0 or len(sound) == 0:
            continue
        # The image score is its farthest cell: the sound cells that lie far are what matters.
        far = sound.topk(max(1, len(sound) // 10)).values
        gap = defective[:, None] - far[None, :] - MARGIN
        losses.append(functional.softplus(-SHARPNESS * gap).mean() / SHARPNESS)
    return torch.stack(losses).mean() if losses else distances.sum() * 0


def few_shot_loss(maps: Tensor, labels: Tensor) -> Tensor:
    """A linear rule from few examples shall tell defects in further pictures.

    A ridge regression in closed form (Bertinetto et al., 2019), learned on two good pictures and
    two defective ones of a group, is judged on the others: the third of the same kind of defect,
    and the one with a defect of any kind, against good ones. Centre and scale of the features are
    those of the good pictures and of the first six.

    Returns:
        logistic loss of the regression's values, sound and defective cells weighing alike.
    """
    channels = maps.shape[2]
    rows = maps.flatten(3).transpose(2, 3)  # (G, 9, P, C)
    kinds = labels.flatten(2)
    centre = rows[:, :NORMALS].mean(dim=(1, 2), keepdim=True)
    rows = rows - centre
    scale = (
        rows[:, : NORMALS + LIKE - 1]
        .square()
        .mean(dim=(1, 2, 3), keepdim=True)
        .clamp_min(1e-12)
        .rsqrt()
    )
    rows = functional.pad(rows * scale, (0, 1), value=1.0)
    support, query = list(SUPPORT), list(QUERY)
    x, y = rows[:, support].flatten(1, 2), kinds[:, support].flatten(1)
    weight = _balanced(y)  # (G, S)
    target = torch.where(y > 0, 1.0, -1.0)
    weighed = x * weight[..., None]
    gram = weighed.transpose(1, 2) @ x
    ridge = RIDGE * torch.eye(channels + 1, device=maps.device)
    factor = torch.linalg.cholesky(gram + ridge)
    rule = torch.cholesky_solve(weighed.transpose(1, 2) @ target[..., None], factor)
    values = (rows[:, query].flatten(1, 2) @ rule).squeeze(-1)
    judged = kinds[:, query].flatten(1)
    each = functional.softplus(-SHARPNESS * torch.where(judged > 0, 1.0, -1.0) * values)
    return (each * _balanced(judged)).sum(dim=1).mean() / SHARPNESS


def prototype_loss(embeddings: Tensor) -> Tensor:
    """Name the group, and so the material, that a picture belongs to.

    Every group shows two good pictures; their mean stands for it (Snell et al., prototypical
    networks, 2017). The others, good or not, shall lie nearest to the mean of their own group.

    Args:
        embeddings: (G, 9, D).

    Returns:
        cross entropy of cosines, scaled.
    """
    units = functional.normalize(embeddings, dim=-1)
    prototypes = functional.normalize(units[:, :SHOWN].mean(dim=1), dim=-1)
    cosines = (units[:, SHOWN:] @ prototypes.T).flatten(0, 1)
    groups = torch.arange(len(embeddings), device=embeddings.device)
    names = groups.repeat_interleave(embeddings.shape[1] - SHOWN)
    return functional.cross_entropy(COSINE_SCALE * cosines, names)


def _balanced(kinds: Tensor) -> Tensor:
    """Weights (G, P): half for the sound cells, half for the defective ones, none for unknown."""
    sound, defective = (
        part / part.sum(dim=1, keepdim=True).clamp_min(1)
        for part in ((kinds == 0).float(), (kinds > 0).float())
    )
    return 0.5 * (sound + defective)


def _log_distances(left: Tensor, right: Tensor) -> Tensor:
    """Logarithm of the distance of each of (G, P, C) to the nearest of (G, Q, C): (G, P)."""
    # Which one is nearest needs no gradient; the distance to it alone does.
    with torch.no_grad():
        nearest = torch.cdist(left, right).argmin(dim=-1)
    chosen = torch.gather(right, 1, nearest[..., None].expand(-1, -1, right.shape[-1]))
    return 0.5 * (left - chosen).square().sum(dim=-1).clamp_min(1e-12).log()
