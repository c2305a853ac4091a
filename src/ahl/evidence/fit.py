"""Fits the calibration of evidence to images that the heads have not trained on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ahl.config import CalibrationConfig
from ahl.evidence.calibration import (
    SMALLEST,
    Calibration,
    Evidence,
    as_matrix,
    spread_of,
    weighted,
)
from ahl.evidence.knn import KNNNormalisation
from ahl.evidence.probability import fit_probability
from ahl.heads.base import MEMORY


@dataclass(frozen=True, kw_only=True, eq=False)
class Unseen:
    """Evidence of images by models that have not trained on them.

    Attributes:
        evidence: (N,) by name; for `calibrate` in standard deviations of the normals that the same
            model trained on, for `recalibrate` as the model gives it.
        descriptors: (N, D) descriptors of the images.
    """

    evidence: Evidence
    descriptors: Tensor


def calibrate(
    trained_on: Evidence,
    normals: Unseen,
    anomalies: Unseen,
    config: CalibrationConfig,
    labelled: Collection[str],
) -> Calibration:
    """Calibrate evidence by images that its heads have not trained on.

    A weight is the (lower) median of out-of-fold anomalies in standard deviations of out-of-fold
    normals, as in linear discriminant analysis of independent evidence with equal spreads. With few
    anomalies it stays close to the prior weight. Evidence that is constant over all normals gets
    weight 0.

    Args:
        trained_on: evidence of the normals that the heads trained on.
        normals: the out-of-fold normals, at least two.
        anomalies: the out-of-fold anomalies; without any, the prior weights are used.
        config: the constants.
        labelled: names of the heads that learn only from labelled anomalies.
    """
    means, deviations = spread_of(trained_on)
    shifts, stretches = spread_of(normals.evidence)
    names = tuple(trained_on)
    varying = _varies(trained_on) * _varies(normals.evidence)

    def plain(evidence: Evidence) -> Tensor:
        own = as_matrix(evidence, names).double()
        return (own - torch.tensor(shifts).double()) / torch.tensor(stretches).double()

    knn = None
    if config.neighbours:
        knn = KNNNormalisation.of(
            normals.descriptors,
            plain(normals.evidence),
            neighbours=config.neighbours,
            share=config.neighbour_share,
            prior_count=config.neighbour_prior,
        )
    usual = plain(normals.evidence) if knn is None else knn.own()
    raised = torch.empty(0, len(names))
    if len(anomalies.descriptors):
        raised = plain(anomalies.evidence)
        if knn is not None:
            raised = knn.relative(raised, knn.statistics(anomalies.descriptors))
    usual, raised = usual.float(), raised.float()
    weights = evidence_weights(raised, varying, names, config, labelled)
    return Calibration(
        names=names,
        means=means,
        deviations=deviations,
        shifts=shifts,
        stretches=stretches,
        weights=weights,
        knn=knn,
        normals=usual,
        anomalies=raised,
        missed=raised[:0],
        probability=fit_probability(weighted(usual, weights), weighted(raised, weights)),
    )


def recalibrate(
    old: Calibration,
    normals: Unseen,
    anomalies: Unseen,
    config: CalibrationConfig,
    labelled: Collection[str],
) -> Calibration:
    """Update a calibration by further images that the heads have not trained on.

    The normals are added to the nearest-neighbour normalisation, the anomalies to the estimate of
    the weights. The out-of-fold scores, and thresholds set on them, do not include these images:
    chosen for their scores, they are not representative.

    Args:
        old: the calibration of the same heads; that of an adapted model is returned unchanged.
        normals: the normals, possibly none.
        anomalies: the anomalies, possibly none.
        config: the constants.
        labelled: as for `calibrate`.
    """
    if not len(old.normals):  # of another product: its weights stand for more than these few
        return old
    knn = old.knn
    if knn is not None and len(normals.descriptors):
        knn = knn.including(normals.descriptors, old.plain(normals.evidence))
    if not len(anomalies.descriptors):
        return replace(old, knn=knn)
    further = old.standardised(anomalies.evidence, old.neighbours(anomalies.descriptors)).float()
    missed = torch.cat([old.missed, further])
    varying = (torch.tensor(old.weights) > 0).double()
    raised = torch.cat([old.anomalies, missed])
    weights = evidence_weights(raised, varying, old.names, config, labelled)
    return replace(
        old,
        weights=weights,
        knn=knn,
        missed=missed,
        probability=fit_probability(
            weighted(old.normals, weights), weighted(old.anomalies, weights)
        ),
    )


def evidence_weights(
    anomalies: Tensor,
    varying: Tensor,
    names: Sequence[str],
    config: CalibrationConfig,
    labelled: Collection[str],
) -> tuple[float, ...]:
    """Weight of each kind of evidence, by how far it raises unseen anomalies.

    Args:
        anomalies: (M, K) their standardised evidence.
        varying: (K,) 0 for evidence that is constant over all normals, else 1.
        names: names of the evidence.
        config: the constants.
        labelled: as for `calibrate`.

    Returns:
        K weights with sum 1.
    """
    count = len(anomalies)
    taught = max(1, count)  # a single labelled anomaly is in no fold
    believed = {MEMORY: config.memory_belief} | dict.fromkeys(labelled, taught / (taught + 1))
    weights = torch.tensor([believed.get(name, 1.0) for name in names], dtype=torch.float64)
    if count:
        lifts = anomalies.double().median(dim=0).values.clamp(min=0)
        if lifts.sum() > 0:
            weights = weights / weights.mean()
            weights = count * lifts + config.prior_count * lifts.mean() * weights
    if varying.any():
        weights = weights * varying
        # Those that remain may all have lifted nothing.
        weights = weights if weights.sum() > 0 else varying
    return tuple(float(weight) for weight in weights / weights.sum())


def in_deviations(evidence: Evidence, by: Evidence) -> Evidence:
    """Evidence relative to the mean of that of other images, in their standard deviations."""
    means, deviations = spread_of(by)
    return {
        name: (evidence[name].double() - mean) / deviation
        for name, mean, deviation in zip(by, means, deviations, strict=True)
    }


def _varies(evidence: Evidence) -> Tensor:
    """Indicator (K,) of evidence that varies between images: 1, else 0."""
    spreads = torch.stack([values.double().std(correction=0) for values in evidence.values()])
    return (spreads > SMALLEST).double()
