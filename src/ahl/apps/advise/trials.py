"""Stand-in trainings: on some of the labelled images, asked about others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.randomness import numpy_generator
from ahl._common.types import ImageItem, Sample
from ahl.apps.advise.ranking import Flags, Indices
from ahl.benchmark.baselines import logistic_scores, patchcore_scores
from ahl.config import Config
from ahl.config.image_size import in_pixels
from ahl.data.images.sources import from_samples, readable_items
from ahl.distributions.augment import default_generators
from ahl.distributions.pseudo import plan_pseudo_anomalies, pseudo_items
from ahl.features.backbones.choice import BackboneChoice
from ahl.features.table import FeatureTable
from ahl.heads import BaseDetector
from ahl.pipeline.extraction import Extraction, chosen, open_extraction
from ahl.pipeline.learn import learn
from ahl.pipeline.task import draw_episodes, prepare

MOST_NORMALS = 300
"""Good images that one stand-in trains on at most: what its time depends on."""

MOST_TWINS = 40
"""Good images that get a pseudo anomaly of each generator: each draw of folds needs its own.

On SDD (DevNet, 5 and 20 labelled defects, two seeds each) the mean AUROC is 0.956 with these, and
0.955 with half of all 857 good images.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trials:
    """Labelled images as features, and trainings on parts of them.

    Attributes:
        samples: the images.
        anomalous: (N,) their labels.
        groups: (N,) number of the photograph; copies share one.
        table: their features.
        extraction: where more features come from.
        items: the images, to be decoded.
        detector: the base detector of the stand-ins.
        config: all constants of the stand-ins.
        seed: of every draw.
        device: where to learn.
    """

    samples: tuple[Sample, ...]
    anomalous: Flags
    groups: Indices
    table: FeatureTable
    extraction: Extraction
    items: Sequence[ImageItem]
    detector: type[BaseDetector]
    config: Config
    seed: int
    device: torch.device

    def labelled(self, trained: Indices, tested: Indices) -> NDArray[np.float64]:
        """Scores (n,) of tested images by a detector of some normals and anomalies."""
        normals, anomalies = self._parts(trained)
        items = chosen(self.items, normals.tolist())
        shares = self.config.distributions
        twins = min(shares.twin_fraction, MOST_TWINS / len(normals))
        config = replace(self.config, distributions=replace(shares, twin_fraction=twins))
        generators = default_generators()
        rows, seed = self.table.chosen(normals), self.seed
        episodes = draw_episodes(
            rows, len(anomalies), len(generators), config.distributions, seed=seed
        )
        plan, tiles = plan_pseudo_anomalies(episodes), config.features.tiles
        pseudo = self.extraction.pseudo(
            pseudo_items(plan, items, generators, seed=seed, tiles=tiles)
        )
        task = prepare(
            self.detector, rows, self.table.chosen(anomalies), pseudo, episodes, config, seed=seed
        )
        model = learn(task, config, seed=self.seed, device=self.device)
        return model.score_table(self.table.chosen(tested))

    def memory_only(self, trained: Indices, tested: Indices) -> NDArray[np.float64]:
        """Scores (n,) of tested images by the distance from the normals' patches alone."""
        normals, _ = self._parts(trained)
        return patchcore_scores(
            self.table.chosen(normals), self.table.chosen(tested), seed=self.seed
        )

    def second_opinion(self, trained: Indices, tested: Indices) -> NDArray[np.float64]:
        """Scores (n,) of tested images by a linear classifier of whole images, which is cheap."""
        normals, anomalies = self._parts(trained)
        tables = (self.table.chosen(indices) for indices in (normals, anomalies, tested))
        return logistic_scores(*tables)

    def part(self, indices: Indices) -> Trials:
        """The same with some of the images."""
        return replace(
            self,
            samples=tuple(chosen(self.samples, indices.tolist())),
            anomalous=self.anomalous[indices],
            groups=self.groups[indices],
            table=self.table.chosen(indices),
            items=chosen(self.items, indices.tolist()),
        )

    def _parts(self, trained: Indices) -> tuple[Indices, Indices]:
        normals, anomalies = trained[~self.anomalous[trained]], trained[self.anomalous[trained]]
        if len(normals) > MOST_NORMALS:
            random = numpy_generator(self.seed, "advice", "normals")
            normals = np.sort(random.choice(normals, MOST_NORMALS, replace=False))
        return normals, anomalies

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the anomaly classes, sorted."""
        return tuple(sorted({sample.class_name for sample in self.samples if sample.is_anomaly}))

    def of_class(self, name: str) -> Flags:
        """(N,) which images are of a class."""
        return np.array([sample.class_name == name for sample in self.samples], dtype=np.bool_)


@contextmanager
def open_trials(
    samples: Sequence[Sample],
    groups: Indices,
    *,
    backbone: BackboneChoice,
    config: Config,
    detector: type[BaseDetector],
    seed: int,
    device: torch.device,
    cache: str | Path | None,
    callback: Callback,
) -> Iterator[Trials]:
    """Extract the images' features, from the cache where it has them.

    Args:
        samples: the images; those that have become unreadable are left out.
        groups: (N,) number of the photograph that each shows.
        backbone: what makes the features.
        config: all constants; it is made that of a stand-in.
        detector: the base detector of the stand-ins.
        seed: of every draw.
        device: where backbone and heads run.
        cache: folder of the feature stores, as for `ahl.AHL`.
        callback: receives progress.
    """
    size = config.features.size
    images, items = readable_items(
        from_samples(samples), size, decode=False, strict=False, callback=callback
    )
    with open_extraction(
        backbone.build(), config.features, device, cache=cache, strict=False, callback=callback
    ) as extraction:
        table, images, items = extraction.labelled(f"features at {in_pixels(size)}", images, items)
        place = {sample.name: index for index, sample in enumerate(samples)}
        kept = np.array([place[image.name] for image in images], dtype=np.int64)
        own = tuple(samples[index] for index in kept)
        yield Trials(
            samples=own,
            anomalous=np.array([sample.is_anomaly for sample in own], dtype=np.bool_),
            groups=groups[kept],
            table=table,
            extraction=extraction,
            items=items,
            detector=detector,
            config=replace(config, learning=replace(config.learning, collaborative=False)),
            seed=seed,
            device=device,
        )
