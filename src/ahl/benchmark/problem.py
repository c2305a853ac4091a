"""The features of one draw, which a benchmark method trains on and scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError, ResumeError
from ahl._common.types import GOOD, ImageItem, Sample
from ahl.config import Config
from ahl.data import TrainingSplit
from ahl.data.images.sources import LabelledImage, from_samples, readable_items
from ahl.data.labels import check_classes
from ahl.data.parts import number_parts
from ahl.distributions.augment import default_generators
from ahl.distributions.pseudo import PseudoAnomaly, pseudo_items
from ahl.features.backbones import Backbone
from ahl.features.backbones.choice import BackboneChoice
from ahl.features.sizing import with_size
from ahl.features.table import FeatureTable
from ahl.heads import BaseDetector
from ahl.learning.finetuning import finetune_backbone
from ahl.learning.finetuning_batches import FinetuningImages
from ahl.pipeline.extraction import chosen, open_extraction


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """Training and test features of one draw.

    A method sees no label of a test image.

    Attributes:
        normals: features of the training normals.
        anomalies: features of the labelled anomalies.
        test: features of the test images.
        make_pseudo: returns the features of planned pseudo anomalies.
        generators: number of pseudo-anomaly generators that `make_pseudo` knows.
        config: all constants, the image size among them; a method may set its own learning
            constants.
        seed: seed of every random draw.
        device: device to train on.
        groups: (N + M,) part numbers of normals, then anomalies, equal for photographs of one part;
            None if each image shows a part of its own.
    """

    normals: FeatureTable
    anomalies: FeatureTable
    test: FeatureTable
    make_pseudo: Callable[[Sequence[PseudoAnomaly]], FeatureTable | None]
    generators: int
    config: Config
    seed: int
    device: torch.device
    groups: NDArray[np.int64] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenedDraw:
    """A problem, and the test labels and counts that its figures need.

    Attributes:
        problem: the part that methods see.
        test: the tested samples, in the order of the scores.
        seen_classes: anomaly classes with a training example.
        skipped: number of images that could not be read.
        duplicates: number of images left out of the test because training has the same content
            or, where parts are kept together, another photograph of the same part.
    """

    problem: Problem
    test: tuple[Sample, ...]
    seen_classes: frozenset[str]
    skipped: int
    duplicates: int


@dataclass(frozen=True, kw_only=True)
class StageZero:
    """Fine-tuning of a backbone for a draw, before its features are taken (stage 0).

    Attributes:
        heads: base detector whose loss is minimised.
        checkpoint: file of the state after every epoch; a finished one is loaded.
    """

    heads: type[BaseDetector]
    checkpoint: Path


@contextmanager
def open_draw(
    split: TrainingSplit,
    backbone: BackboneChoice,
    config: Config,
    *,
    seed: int,
    device: torch.device,
    cache: str | Path | None,
    callback: Callback,
    labelled: bool = True,
    stage_zero: StageZero | None = None,
) -> Iterator[OpenedDraw]:
    """Extract a split's features, or read them from the cache, for the block.

    Args:
        split: the training and test images.
        backbone: the backbone that makes the features.
        config: all constants; an image size of auto is chosen from the training images.
        seed: seed of the pseudo anomalies and of the methods.
        device: device of backbone and heads.
        cache: folder of the feature stores, as for `ahl.AHL`.
        callback: receives progress and skipped images.
        labelled: True if labelled anomalies are needed for training.
        stage_zero: fine-tuning of the backbone on the split's training images; None leaves it
            frozen. Features of a fine-tuned backbone are not cached: no other run can use them.

    Raises:
        DataError: if too few images can be read.
        WeightsError: if the backbone's weights cannot be found or downloaded.
    """
    built = backbone.build()
    sources = [sample.source for sample in split.normals]
    config = with_size(config, built, sources, callback=callback)

    def readable(samples: Sequence[Sample]) -> tuple[list[LabelledImage], list[ImageItem]]:
        return readable_items(
            from_samples(samples),
            config.features,
            decode=stage_zero is not None,
            strict=False,
            callback=callback,
        )

    given = len(split.normals) + len(split.anomalies) + len(split.test)
    normals, normal_items = readable(split.normals)
    anomalies, anomaly_items = readable(split.anomalies)
    tested, test_items = readable(split.test)
    if labelled:
        check_classes(normals, anomalies)
    # What is trained on is not tested, whatever its name: datasets hold identical files.
    known = {item.key for item in [*normal_items, *anomaly_items]}
    new = [index for index, item in enumerate(test_items) if item.key not in known]
    duplicates = len(tested) - len(new)
    tested, test_items = chosen(tested, new), chosen(test_items, new)
    generators = default_generators()  # used by methods whose config wants pseudo anomalies
    if stage_zero is not None:
        images = FinetuningImages(
            normals=normal_items,
            anomalies=anomaly_items,
            generators=generators if config.distributions.pseudo else (),
        )

        def finetuned(*, resume: bool) -> Backbone:
            return finetune_backbone(
                built,
                stage_zero.heads,
                images,
                config,
                seed=seed,
                device=device,
                callback=callback,
                checkpoint=stage_zero.checkpoint,
                resume=resume,
            )

        try:
            built = finetuned(resume=True)
        except ResumeError:  # damaged, or of another version: what is there cannot be used
            built = finetuned(resume=False)
        cache = None
    with open_extraction(
        built, config.features, device, cache=cache, strict=False, callback=callback
    ) as extraction:
        normal_table, normals, normal_items = extraction.labelled(
            "features of normal images", normals, normal_items
        )
        anomaly_table, anomalies, _ = extraction.labelled(
            "features of anomalies", anomalies, anomaly_items
        )
        if labelled:
            check_classes(normals, anomalies)
        test_table, tested, _ = extraction.labelled("features of test images", tested, test_items)
        if len({image.class_name == GOOD for image in tested}) < 2:
            raise DataError("The test needs readable normal images and anomalies.")
        by_name = {sample.name: sample for sample in split.test}
        yield OpenedDraw(
            problem=Problem(
                normals=normal_table,
                anomalies=anomaly_table,
                test=test_table,
                make_pseudo=lambda plan: extraction.pseudo(
                    pseudo_items(
                        plan, normal_items, generators, seed=seed, tiles=config.features.tiles
                    )
                ),
                generators=len(generators),
                config=config,
                seed=seed,
                device=device,
                groups=number_parts(image.part for image in [*normals, *anomalies]),
            ),
            test=tuple(by_name[image.name] for image in tested),
            seen_classes=frozenset(image.class_name for image in anomalies),
            skipped=given - duplicates - len(normals) - len(anomalies) - len(tested),
            duplicates=duplicates + split.left_out,
        )
