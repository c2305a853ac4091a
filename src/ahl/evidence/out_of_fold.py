"""Out-of-fold evidence: models trained without a fold score the images in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ahl._common.callbacks import Callback
from ahl._common.randomness import torch_generator
from ahl.config import Config
from ahl.distributions.episodes import Indices
from ahl.distributions.folds import Fold
from ahl.distributions.training_set import TrainingSet, draw_batches
from ahl.evidence.calibration import Calibration, Evidence, gather
from ahl.evidence.fit import Unseen, calibrate, in_deviations
from ahl.evidence.knn import descriptors
from ahl.evidence.prepared import Preparation
from ahl.features.maps import FeatureMaps
from ahl.features.table import FeatureTable
from ahl.heads.base import BaseDetector, HeadScores, Parameters
from ahl.heads.weights import HeadWeights, moved, one_of, replicate, score_samples
from ahl.learning.averaging import update_average, update_bn
from ahl.learning.collaboration import descend

CHUNK = 256
"""Number of samples described together; bounds memory."""


def calibrate_by_folds(
    detector: BaseDetector,
    unified: HeadWeights,
    training_set: TrainingSet,
    folds: Sequence[Fold],
    reference: FeatureMaps,
    preparation: Preparation,
    config: Config,
    *,
    seed: int,
    device: torch.device,
    callback: Callback,
) -> Calibration:
    """Calibrate a trained model by out-of-fold evidence.

    A model is trained for each fold, without episodes and on balanced batches. Its evidence for the
    images in the fold, in standard deviations of the normals it trained on, stands in for the
    model's evidence for unseen images. `folds` are from `draw_folds`; `reference` is the fixed one
    for scoring.
    """
    reference = tuple(scale.to(device) for scale in reference)
    run = _Folds(
        detector, training_set, folds, reference, preparation, config, seed, device, callback
    )
    models = run.trained()
    known = [run.evidence(m, fold.samples.normals) for m, fold in zip(models, folds, strict=True)]
    normals = run.out_of_fold(models, known, [fold.normals for fold in folds])
    anomalies = run.out_of_fold(models, known, [fold.anomalies for fold in folds])
    trained_on = run.evidence(moved(unified, device), training_set.everything.normals)
    return calibrate(trained_on, normals, anomalies, config.calibration, detector.labelled_heads)


@dataclass(frozen=True)
class _Folds:
    """The folds' models over one training set."""

    detector: BaseDetector
    training_set: TrainingSet
    folds: Sequence[Fold]
    reference: FeatureMaps
    preparation: Preparation
    config: Config
    seed: int
    device: torch.device
    callback: Callback

    def trained(self) -> list[HeadWeights]:
        """Train the folds' models; weights are averaged over the same share of steps as g's."""
        learning = self.config.learning
        # As many steps, at the rate, of what they stand for: g, or a model trained alone.
        whole, rate = learning.epochs * learning.rounds, learning.outer_rate
        if not learning.episodes:
            whole, rate = whole * learning.inner_steps, learning.inner_rate
        steps = max(1, round(whole * self.config.calibration.share))
        batches = draw_batches(
            self.training_set,
            [fold.samples for fold in self.folds],
            steps,
            batch_size=learning.batch_size,
            reference_normals=self.config.heads.reference_normals,
            generator=torch_generator(self.seed, "folds"),
            device=self.device,
        )
        parameters = self.detector.initial_parameters(torch_generator(self.seed, "heads"))
        start = moved(HeadWeights(parameters, self.detector.initial_statistics()), self.device)
        stacked, average = replicate(start, len(self.folds)), Parameters()
        descent = descend(self.detector, stacked, batches, rate=rate)
        unaveraged = learning.steps_before_average(steps)
        self.callback.on_stage("calibration", 0, steps)
        for step, (stacked, _) in enumerate(descent, start=1):
            if step > unaveraged:
                average = update_average(average, stacked.parameters, step - unaveraged)
            self.callback.on_stage("calibration", step, steps)
        models = HeadWeights(average, stacked.statistics)
        return [
            update_bn(
                self.detector,
                one_of(models, i),
                self.training_set,
                fold.samples,
                self.reference,
                batch_size=learning.batch_size,
                seed=self.seed,
            )
            for i, fold in enumerate(self.folds)
        ]

    def out_of_fold(
        self, models: Sequence[HeadWeights], known: Sequence[Evidence], samples: Sequence[Indices]
    ) -> Unseen:
        """Evidence and descriptors of the samples in each fold, one fold after another.

        `models`, `known` (their evidence of the normals they trained on) and `samples` have one
        entry per fold.
        """
        layout, appended = self.training_set.features.layout, self.preparation.appended
        described = [torch.empty(0, len(layout.scales) * (layout.channels - appended))]
        parts = [{name: torch.empty(0, dtype=torch.float64) for name in known[0]}]
        for model, by, own in zip(models, known, samples, strict=True):
            if not len(own):
                continue
            parts.append(in_deviations(self.evidence(model, own), by))
            for chunk in np.array_split(own, range(CHUNK, len(own), CHUNK)):
                maps = layout.split(self.training_set.features.rows(chunk))
                described.append(descriptors(maps, appended))
        return Unseen(
            evidence={name: torch.cat([part[name] for part in parts]) for name in parts[0]},
            descriptors=torch.cat(described),
        )

    def evidence(self, model: HeadWeights, samples: Indices) -> Evidence:
        """All evidence of the samples (N,) by one model."""
        return sample_evidence(
            self.detector,
            model,
            self.training_set.features,
            samples,
            self.reference,
            self.preparation,
        )


def sample_evidence(
    detector: BaseDetector,
    model: HeadWeights,
    features: FeatureTable,
    samples: Indices,
    reference: FeatureMaps,
    preparation: Preparation,
) -> Evidence:
    """All evidence of one or more samples (N,) by a model, on the CPU.

    `features` are prepared for the heads; `reference` is on the model's device.
    """
    weight = preparation.memory_weight

    def read(heads: HeadScores, maps: FeatureMaps) -> Evidence:
        return gather(detector, heads, maps, weight)

    found = score_samples(detector, replicate(model, 1), features, samples, reference, read)
    return {name: values[:, 0] for name, values in found.items()}
