"""Collaborative differentiable learning (CDL): AHL, section 3.3, Eq. 1 to 4.

Inner and outer steps are pure functions over parameter dictionaries, written for one base model.
On a GPU, `torch.func.vmap` runs all T at once; on a CPU they run one after another, so that a
model's data stay in the cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.func import grad, vmap

from ahl.distributions.training_set import Batch
from ahl.heads.base import BaseDetector, Parameters, Statistics
from ahl.heads.weights import HeadWeights, one_of, stack
from ahl.learning.adam import AdamState, adam_start, adam_step


def batch_loss(
    detector: BaseDetector, parameters: Parameters, statistics: Statistics, batch: Batch
) -> tuple[Tensor, Statistics]:
    """The loss of one model on a batch, and the running statistics after it."""
    scores, updated = detector.forward(
        parameters, statistics, batch.maps, batch.references, training=True
    )
    return detector.loss(scores, batch.kinds), updated


def inner_step(
    detector: BaseDetector, model: HeadWeights, state: AdamState, batch: Batch, *, rate: float
) -> tuple[HeadWeights, AdamState, Tensor]:
    """Take one step of a base model on a batch of its support set (Eq. 1).

    Returns:
        the model and optimiser state after the step, and the loss before it.
    """

    def objective(parameters: Parameters) -> tuple[Tensor, tuple[Statistics, Tensor]]:
        loss, statistics = batch_loss(detector, parameters, model.statistics, batch)
        return loss, (statistics, loss)

    gradients, (statistics, loss) = grad(objective, has_aux=True)(model.parameters)
    parameters, state = adam_step(model.parameters, gradients, state, rate=rate)
    return HeadWeights(parameters, statistics), state, loss


def descend(
    detector: BaseDetector, models: HeadWeights, batches: Iterable[Batch], *, rate: float
) -> Iterator[tuple[HeadWeights, Tensor]]:
    """Train T models in parallel, each on batches of its own.

    Args:
        detector: the heads.
        models: T stacked models.
        batches: batches with a leading T axis, in order.
        rate: learning rate (Adam).

    Yields:
        the T models after each batch, and their (T,) losses before it.
    """
    state = adam_start(models.parameters)
    for batch in batches:
        gradients, statistics, loss = gradients_of(detector, models, batch)
        # Adam works element by element: on the stacked models at once, outside vmap, it is the
        # same arithmetic as `inner_step` with far fewer operations.
        parameters, state = adam_step(models.parameters, gradients, state, rate=rate)
        models = HeadWeights(parameters, statistics)
        yield models, loss


def inner_loop(
    detector: BaseDetector, models: HeadWeights, batches: Iterable[Batch], *, rate: float
) -> tuple[HeadWeights, Tensor]:
    """Train all T base models on their support batches (Eq. 1).

    Args:
        detector: the heads.
        models: T stacked models.
        batches: batches with a leading T axis, in order.
        rate: inner learning rate.

    Returns:
        the T adapted models, and (T,) losses averaged over the batches.
    """
    adapted, losses = models, []
    for after, loss in descend(detector, models, batches, rate=rate):
        adapted = after
        losses.append(loss)
    return adapted, torch.stack(losses).mean(dim=0)


Gradients = tuple[Parameters, Statistics, Tensor]
"""Gradients of T stacked models' batch losses, the statistics after the batch, and (T,) losses."""


def gradients_of(detector: BaseDetector, models: HeadWeights, batch: Batch) -> Gradients:
    """Gradients of T stacked models, by the faster of the two functions below."""
    way = in_turn if batch.kinds.device.type == "cpu" else side_by_side
    return way(detector, models, batch)


def in_turn(detector: BaseDetector, models: HeadWeights, batch: Batch) -> Gradients:
    """Gradients of T stacked models, computed one after another."""
    gradients, statistics, losses = [], [], []
    for i in range(len(batch.kinds)):
        model = one_of(models, i)
        leaves = {name: value.detach().requires_grad_() for name, value in model.parameters.items()}
        loss, updated = batch_loss(detector, leaves, model.statistics, batch.of(i))
        found = torch.autograd.grad(
            loss, list(leaves.values()), allow_unused=True, materialize_grads=True
        )
        gradients.append(dict(zip(leaves, found, strict=True)))
        statistics.append({name: value.detach() for name, value in updated.items()})
        losses.append(loss.detach())
    return stack(gradients), stack(statistics), torch.stack(losses)


def side_by_side(detector: BaseDetector, models: HeadWeights, batch: Batch) -> Gradients:
    """Gradients of T stacked models, computed at once."""

    def objective(
        parameters: Parameters, statistics: Statistics, batch: Batch
    ) -> tuple[Tensor, tuple[Statistics, Tensor]]:
        loss, updated = batch_loss(detector, parameters, statistics, batch)
        return loss, (updated, loss)

    gradients, (statistics, losses) = vmap(grad(objective, has_aux=True))(*models, batch)
    return gradients, statistics, losses


def first_order_gradient(
    detector: BaseDetector, adapted: HeadWeights, queries: Sequence[Batch], importance: Tensor
) -> tuple[Parameters, HeadWeights, Tensor]:
    """Gradient of Eq. 4 with respect to the adapted weights, for a step of the unified ones.

    Args:
        detector: the heads.
        adapted: the T base models after their inner steps.
        queries: query batches with a leading T axis; their gradients are averaged.
        importance: (T,) importance scores w_i.

    Returns:
        the gradient, the base models with their statistics after the queries, and the (T,)
        query losses before weighting.
    """
    statistics, losses = adapted.statistics, []
    total: Parameters = {k: torch.zeros_like(v[0]) for k, v in adapted.parameters.items()}
    for batch in queries:
        models = HeadWeights(adapted.parameters, statistics)
        gradients, statistics, loss = gradients_of(detector, models, batch)
        losses.append(loss)
        for name, own in gradients.items():
            total[name] = total[name] + torch.tensordot(importance, own, dims=1)
    gradient = {name: value / len(queries) for name, value in total.items()}
    return gradient, HeadWeights(adapted.parameters, statistics), torch.stack(losses).mean(dim=0)


def second_order_gradient(
    detector: BaseDetector,
    unified: HeadWeights,
    supports: Sequence[Batch],
    queries: Sequence[Batch],
    importance: Tensor,
    *,
    rate: float,
) -> tuple[Parameters, HeadWeights, Tensor]:
    """Gradient of Eq. 4 with respect to the unified weights, through all inner steps.

    Returns:
        as `first_order_gradient`.
    """

    def one_model(
        parameters: Parameters, supports: Sequence[Batch], queries: Sequence[Batch]
    ) -> tuple[Tensor, HeadWeights]:
        model, state = HeadWeights(parameters, unified.statistics), adam_start(parameters)
        for batch in supports:
            model, state, _ = inner_step(detector, model, state, batch, rate=rate)
        total = importance.new_zeros(())
        statistics = model.statistics
        for batch in queries:
            loss, statistics = batch_loss(detector, model.parameters, statistics, batch)
            total = total + loss
        return total / len(queries), HeadWeights(model.parameters, statistics)

    def objective(parameters: Parameters) -> tuple[Tensor, tuple[HeadWeights, Tensor]]:
        losses, models = vmap(one_model, in_dims=(None, 0, 0))(parameters, supports, queries)
        return importance @ losses, (models, losses)

    gradients, (models, losses) = grad(objective, has_aux=True)(unified.parameters)
    return gradients, models, losses


def outer_step(
    unified: HeadWeights, gradient: Parameters, base: HeadWeights, state: AdamState, *, rate: float
) -> tuple[HeadWeights, AdamState]:
    """Update the unified model by the gradient of Eq. 4.

    Its running statistics become the mean of the base models'.
    """
    parameters, state = adam_step(unified.parameters, gradient, state, rate=rate)
    statistics = {name: value.mean(dim=0) for name, value in base.statistics.items()}
    return HeadWeights(parameters, statistics), state
