"""A training run from images or feature maps to the trained model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError
from ahl._common.processes import Processes
from ahl._common.resuming import finetuning_checkpoint, run_fingerprint
from ahl._common.types import GOOD, ImageItem
from ahl._common.version import __version__
from ahl.config import Config
from ahl.data import Drawn
from ahl.data.images.sources import (
    LabelledImage,
    check_classes,
    check_contradictions,
    readable_items,
)
from ahl.distributions.augment.base import PseudoAnomalyGenerator
from ahl.distributions.pseudo import PseudoAnomaly
from ahl.features.backbones import Backbone
from ahl.features.backbones.choice import BackboneChoice
from ahl.features.sizing import with_size
from ahl.features.table import FeatureTable
from ahl.heads import BaseDetector
from ahl.learning.checkpoint import Checkpoint
from ahl.learning.finetuning import FinetuningImages, finetune_backbone
from ahl.model.exemplars import Candidates, Exemplars, keep_exemplars
from ahl.model.manifest import EpisodeRecord, Manifest, TrainingFile
from ahl.model.trained import TrainedModel
from ahl.pipeline.extraction import open_extraction
from ahl.pipeline.learn import learn
from ahl.pipeline.task import Task, describe_episodes, prepare_task


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """The settings of a run, and the two ways through it.

    The attributes are those of `ahl.AHL`, resolved.
    """

    detector_type: type[BaseDetector]
    backbone: BackboneChoice
    config: Config
    seed: int
    generators: tuple[PseudoAnomalyGenerator, ...]
    device: torch.device
    cache: str | Path | None
    finetune: bool
    checkpoint: Path | None
    resume: bool
    strict: bool
    callback: Callback
    processes: Processes

    def facts(self) -> dict[str, Any]:
        """What identifies the run, as JSON values, its data aside."""
        return {
            "ahl": __version__,
            "base": self.detector_type.name,
            "backbone": self.backbone.facts(),
            "finetune": self.finetune,
            "seed": self.seed,
            "device": self.device.type,
            "resume": self.resume,
            "config": self.config.to_dict(),
        }

    def on_images(
        self,
        normals: Sequence[LabelledImage],
        anomalies: Sequence[LabelledImage],
        *,
        drawn: Drawn = "all",
        known_class: str | None = None,
    ) -> TrainedModel | None:
        """Train on images; see `ahl.AHL.fit` for what is raised.

        Several processes share what the backbone has to do. The first one learns from it and has
        the model; the others do what it asks for, and return None.
        """
        check_classes(normals, anomalies)  # before anything that takes time
        with self.callback.part("building the backbone"):
            backbone = self.backbone.build()
        with self.callback.part("reading files"):
            config = with_size(
                self.config,
                backbone,
                [image.source for image in normals],
                callback=self.callback,
            )
        sized = replace(self, config=config)
        return sized._on_images(backbone, normals, anomalies, drawn=drawn, known_class=known_class)

    def _on_images(
        self,
        backbone: Backbone,
        normals: Sequence[LabelledImage],
        anomalies: Sequence[LabelledImage],
        *,
        drawn: Drawn,
        known_class: str | None,
    ) -> TrainedModel | None:
        given = len(normals) + len(anomalies)
        with self.callback.part("reading files"):
            normals, normal_items = self._readable(normals)
            anomalies, anomaly_items = self._readable(anomalies)
        check_classes(normals, anomalies)
        check_contradictions([*normals, *anomalies], [*normal_items, *anomaly_items])
        classes = _classes([*normals, *anomalies])
        keys = [item.key for item in (*normal_items, *anomaly_items)]
        self.processes.agree([classes, keys], "images")
        if self.finetune:
            with self.callback.part("fine-tuning"):
                backbone = self._finetuned(backbone, normal_items, anomaly_items)
        with open_extraction(
            backbone,
            self.config.features,
            self.device,
            cache=self.cache,
            strict=self.strict,
            callback=self.callback,
            processes=self.processes,
        ) as extraction:
            normal_table, normals, normal_items = extraction.labelled(
                "features of normal images", normals, normal_items
            )
            anomaly_table, anomalies, anomaly_items = extraction.labelled(
                "features of anomalies", anomalies, anomaly_items
            )
            check_classes(normals, anomalies)

            def make_pseudo(plan: Sequence[PseudoAnomaly]) -> FeatureTable:
                self.processes.told([(entry.generator, entry.normal) for entry in plan])
                return extraction.pseudo(plan, normal_items, self.generators, seed=self.seed)

            if not self.processes.is_first:
                while asked := self.processes.told(None):  # nothing is asked for at the end
                    plan = [PseudoAnomaly(generator=which, normal=of) for which, of in asked]
                    extraction.pseudo(plan, normal_items, self.generators, seed=self.seed)
                return None

            def keep(task: Task) -> Exemplars:
                twins = extraction.pseudo_items(
                    task.plan, normal_items, self.generators, seed=self.seed
                )
                made_by = [self.generators[entry.generator].name for entry in task.plan]
                candidates = [
                    Candidates(role="normal", classes=_classes(normals), items=normal_items),
                    Candidates(role="anomaly", classes=_classes(anomalies), items=anomaly_items),
                    Candidates(role="pseudo", classes=made_by, items=twins),
                ]
                return keep_exemplars(task.training_set.features, candidates)

            used = zip([*normals, *anomalies], [*normal_items, *anomaly_items], strict=True)
            files = tuple(
                TrainingFile(name=image.name, sha256=item.key, class_name=image.class_name)
                for image, item in used
            )
            manifest = Manifest(
                files=files, drawn=drawn, known_class=known_class, skipped=given - len(files)
            )
            model = self._learn(
                normal_table,
                anomaly_table,
                make_pseudo,
                len(self.generators),
                backbone=backbone,
                manifest=manifest,
                identity=extraction.identity,
                exemplars_of=keep,
            )
            self.processes.told([])
            return model

    def on_features(
        self, normals: FeatureTable, anomalies: FeatureTable, twins: Sequence[FeatureTable]
    ) -> TrainedModel:
        """Train on feature maps; `twins[g]` holds generator g's pseudo twin of every normal.

        Raises:
            DataError: if the tables do not fit together or are too few.
        """
        if any(table.layout != normals.layout for table in (anomalies, *twins)):
            raise DataError("Normal, anomalous and pseudo feature maps must have the same shape.")
        if len(normals) < 2 or len(anomalies) < 1:
            raise DataError("At least 2 normal feature maps and 1 anomalous one are needed.")
        if any(len(table) != len(normals) for table in twins):
            raise DataError("Every pseudo-anomaly generator needs one twin for each normal.")

        def make_pseudo(plan: Sequence[PseudoAnomaly]) -> FeatureTable:
            rows = [twins[p.generator].rows(np.array([p.normal])) for p in plan]
            return FeatureTable.of_rows(normals.layout, torch.cat(rows).half().numpy())

        digest = hashlib.sha256()
        for table in (normals, anomalies, *twins):
            for _, rows in table.chunks():
                digest.update(rows.numpy().tobytes())

        def keep(task: Task) -> Exemplars:
            pseudo = [f"generator {entry.generator}" for entry in task.plan]
            return keep_exemplars(
                task.training_set.features,
                [
                    Candidates(role="normal", classes=[GOOD] * len(normals), items=None),
                    Candidates(role="anomaly", classes=["anomaly"] * len(anomalies), items=None),
                    Candidates(role="pseudo", classes=pseudo, items=None),
                ],
            )

        return self._learn(
            normals,
            anomalies,
            make_pseudo,
            len(twins),
            backbone=None,
            manifest=Manifest(),
            identity={"features": digest.hexdigest()},
            exemplars_of=keep,
        )

    def _readable(
        self, images: Sequence[LabelledImage]
    ) -> tuple[list[LabelledImage], list[ImageItem]]:
        return readable_items(
            images,
            self.config.features.size,
            decode=self.finetune,
            strict=self.strict,
            callback=self.callback,
        )

    def _finetuned(
        self, backbone: Backbone, normals: list[ImageItem], anomalies: list[ImageItem]
    ) -> Backbone:
        return finetune_backbone(
            backbone,
            self.detector_type,
            FinetuningImages(
                normals=normals,
                anomalies=anomalies,
                generators=self.generators if self.config.distributions.pseudo else (),
            ),
            self.config,
            seed=self.seed,
            device=self.device,
            callback=self.callback,
            checkpoint=finetuning_checkpoint(self.checkpoint),
            resume=self.resume,
            processes=self.processes,
        )

    def _learn(
        self,
        normals: FeatureTable,
        anomalies: FeatureTable,
        make_pseudo: Callable[[Sequence[PseudoAnomaly]], FeatureTable],
        generators: int,
        *,
        backbone: Backbone | None,
        manifest: Manifest,
        identity: dict[str, Any],
        exemplars_of: Callable[[Task], Exemplars],
    ) -> TrainedModel:
        with self.callback.part("episodes and memory"):
            task = prepare_task(
                self.detector_type,
                normals,
                anomalies,
                make_pseudo,
                generators=generators,
                config=self.config,
                seed=self.seed,
            )
        keep = state = None
        if self.checkpoint is not None:
            checkpoint = Checkpoint(self.checkpoint, self._fingerprint(manifest, identity))
            keep = checkpoint.keep
            state = checkpoint.restore() if self.resume else None
        if state is not None:
            self.callback.on_note(f"Resuming after epoch {state.epoch}.")
            self.callback.on_resumed(state.history, self.config.learning.epochs)
        learned = learn(
            task,
            self.config,
            seed=self.seed,
            device=self.device,
            callback=self.callback,
            keep=keep,
            state=state,
        )
        with self.callback.part("pictures of training images"):
            exemplars = exemplars_of(task)
        episodes: tuple[EpisodeRecord, ...] = ()
        if manifest.files and self.config.learning.collaborative:  # else there are no base models
            kept = {one.sha256 for one in exemplars.images}
            pictured = [file.sha256 in kept for file in manifest.files[: len(normals)]]
            names = [generator.name for generator in self.generators]
            episodes = describe_episodes(task.episodes, names, np.array(pictured))
        return replace(
            learned, backbone=backbone, manifest=manifest, exemplars=exemplars, episodes=episodes
        )

    def _fingerprint(self, manifest: Manifest, identity: dict[str, Any]) -> str:
        values = {
            "device": self.device.type,
            "base": self.detector_type.name,
            "config": self.config.to_dict(),
            "seed": self.seed,
            "features": identity,
            "generators": [generator.settings() for generator in self.generators],
            "manifest": asdict(manifest),
        }
        return run_fingerprint(values)


def _classes(images: Sequence[LabelledImage]) -> list[str]:
    return [image.class_name for image in images]
