"""The trained model, which scores feature rows, and its file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl._common.errors import ModelFileError, WeightsError
from ahl._common.history import EpochRecord
from ahl._common.schema import base_of, read_values
from ahl._common.tensor_file import Groups, content_checksum, read_tensor_file, write_tensor_file
from ahl._common.text import first_line
from ahl._common.version import __version__
from ahl.config import Config
from ahl.evidence.calibration import Calibration, gather
from ahl.evidence.knn import descriptors
from ahl.evidence.memory import MemoryConstants
from ahl.evidence.prepared import Preparation
from ahl.features.backbones import Backbone, rebuild_backbone
from ahl.features.maps import FeatureLayout, FeatureMaps
from ahl.features.table import FeatureTable
from ahl.heads import BaseDetector, known_detectors
from ahl.heads.base import MEMORY
from ahl.heads.weights import HeadWeights
from ahl.model.decision import Decision
from ahl.model.exemplars import Exemplars, read_thumbnails, thumbnails_of
from ahl.model.header import ModelHeader, check_sizes, read_heads
from ahl.model.manifest import EpisodeRecord, Manifest


@dataclass(frozen=True, kw_only=True, eq=False)
class RowScores:
    """Scores of N images.

    Attributes:
        score: (N,) float32 image scores; higher is more anomalous.
        heads: (N,) scores by head name, each of them higher for more anomalous images.
        evidence: (N,) contributions to the score by `TrainedModel.evidence_names`, which sum to
            the score; None without calibration.
    """

    score: Tensor
    heads: dict[str, Tensor]
    evidence: dict[str, Tensor] | None

    @classmethod
    def joined(cls, parts: Sequence[Self], heads: Sequence[str], evidence: Sequence[str]) -> Self:
        """Concatenate scores; the names are needed in case there are no parts."""
        nothing = torch.empty(0)
        whole = [part.evidence for part in parts if part.evidence is not None]
        return cls(
            score=torch.cat([nothing, *(part.score for part in parts)]),
            heads={n: torch.cat([nothing, *(part.heads[n] for part in parts)]) for n in heads},
            evidence={n: torch.cat([nothing, *(part[n] for part in whole)]) for n in evidence}
            if evidence
            else None,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedModel:
    """A trained model, with everything that scoring needs.

    Attributes:
        detector: the heads, with their constants.
        unified: weights and running statistics of g.
        reference: the fixed mean normal for residuals, (C, H_s, W_s) per scale.
        preparation: preparation of feature rows for the heads.
        calibration: calibration of the evidence into a score; None for the base detector's sum.
        backbone: the backbone; None for a model trained on feature maps.
        config: all constants of the run.
        seed: seed of the run.
        manifest: its training images.
        history: losses and importance scores of every epoch.
        exemplars: images kept of training and of later updates and thresholds.
        decision: the threshold; None if it was not set.
        episodes: the T episodes; empty without any, and for a model trained on feature maps.
        thumbnails: (N, 64, 64) uint8 thumbnails of the training images, by which copies are found;
            empty for a model trained on feature maps.
    """

    detector: BaseDetector
    unified: HeadWeights
    reference: FeatureMaps
    preparation: Preparation
    calibration: Calibration | None
    backbone: Backbone | None
    config: Config
    seed: int
    manifest: Manifest
    history: tuple[EpochRecord, ...]
    exemplars: Exemplars
    decision: Decision | None = None
    episodes: tuple[EpisodeRecord, ...] = ()
    thumbnails: Tensor = field(default_factory=lambda: thumbnails_of([]))

    def score_rows(self, rows: Tensor) -> RowScores:
        """Score feature rows (N, row_size)."""
        return self.score_maps(self.preparation.maps(row.unsqueeze(0).float()) for row in rows)

    def score_prepared(self, rows: Tensor) -> RowScores:
        """Score prepared rows (N, row_size), as exemplars have them."""
        return self.score_maps(self.prepared_maps(row) for row in rows)

    def prepared_maps(self, row: Tensor) -> FeatureMaps:
        """Prepared maps, (1, C, H_s, W_s) per scale, in a prepared row (row_size,)."""
        return self.detector.layout.split(row.unsqueeze(0).float())

    def score_maps(self, images: Iterable[FeatureMaps]) -> RowScores:
        """Score prepared maps of one image each.

        Images are scored one at a time: matrix products of other heights may round differently,
        and an image's score must not depend on its batch.
        """
        with torch.inference_mode():
            parts = [self.score_batch(maps) for maps in images]
        calibrated = () if self.calibration is None else self.evidence_names
        return RowScores.joined(parts, self.detector.head_names, calibrated)

    def score_batch(self, maps: FeatureMaps) -> RowScores:
        """Score prepared maps, (N, C, H_s, W_s) per scale, in one batch.

        An exported model computes the same after its preparation.
        """
        weights, statistics = self.unified
        own, _ = self.detector.forward(weights, statistics, maps, self.reference, training=False)
        heads = self.detector.evidence(own)
        heads = {name: heads[name] for name in self.detector.head_names}
        if self.calibration is None:
            return RowScores(score=self.detector.combine(own), heads=heads, evidence=None)
        evidence = gather(self.detector, own, maps, self.preparation.memory_weight)
        neighbours = self.calibration.neighbours(descriptors(maps, self.preparation.appended))
        weighed = self.calibration.weigh(evidence, neighbours)
        score = torch.stack(list(weighed.values())).sum(dim=0)
        return RowScores(score=score, heads=heads, evidence=weighed)

    def score_table(self, table: FeatureTable) -> NDArray[np.float64]:
        """Image scores (N,) of a table's rows."""
        found = [self.score_rows(rows).score for _, rows in table.chunks(64)]
        return torch.cat([*found, torch.empty(0)]).double().numpy()

    @property
    def evidence_names(self) -> tuple[str, ...]:
        """Names of the heads, and of the memory's evidence if there is a memory."""
        return evidence_names(self.detector, self.preparation)

    @property
    def layout(self) -> FeatureLayout:
        """Shape of the maps in a feature row."""
        return self.preparation.features

    def header(self) -> dict[str, Any]:
        """The fields of `ModelHeader`, everything except tensors, as JSON values."""
        memory, calibration = self.preparation.memory, self.calibration
        header = ModelHeader(
            ahl_version=__version__,
            base=self.detector.name,
            prior=(self.detector.prior.mean, self.detector.prior.deviation),
            feature_factor=self.preparation.factor,
            memory=None if memory is None else base_of(memory, MemoryConstants),
            calibration=None if calibration is None else calibration.constants(),
            decision=self.decision,
            config=self.config,
            seed=self.seed,
            backbone=None if self.backbone is None else self.backbone.describe(),
            manifest=self.manifest,
            history=self.history,
            exemplars=self.exemplars.images,
            episodes=self.episodes,
        )
        return asdict(header)

    def save(self, path: Path) -> None:
        """Save the model to one file; equal models give equal bytes.

        Raises:
            ModelFileError: if the file cannot be written.
        """
        write_tensor_file(path, "model", self.header(), self._groups())

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of its content, the checksum in its file."""
        return content_checksum(self.header(), self._groups())

    def _groups(self) -> Groups:
        return {
            "heads": self.unified.parameters,
            "statistics": self.unified.statistics,
            **self.preparation.groups(),
            "calibration": {} if self.calibration is None else self.calibration.tensors(),
            "exemplars": self.exemplars.tensors(),
            "training": {"thumbnails": self.thumbnails},
            "reference": {str(i): scale for i, scale in enumerate(self.reference)},
            "backbone": {} if self.backbone is None else self.backbone.tensors(),
        }

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        backbones: Sequence[type[Backbone]] = (),
        detectors: Sequence[type[BaseDetector]] = (),
    ) -> Self:
        """Load a model file; no code from it is run and nothing is downloaded.

        Args:
            path: the file.
            backbones: further backbone classes that the file may name.
            detectors: further detector classes that the file may name.

        Raises:
            ModelFileError: if the file is missing, damaged, altered, of another kind or version.
            ConfigurationError: if two of the detectors have the same name.
        """
        by_name = known_detectors(detectors)
        header, groups = read_tensor_file(path, "model")
        try:
            return cls._build(read_values(header, ModelHeader), groups, backbones, by_name)
        except (
            ArithmeticError,  # a number that is too large
            AttributeError,
            LookupError,
            MemoryError,
            RuntimeError,  # RecursionError too; torch's own
            TypeError,
            ValueError,
            WeightsError,
        ) as error:
            raise ModelFileError(
                f"{path} holds values that do not fit together: {first_line(error)}"
            ) from error

    @classmethod
    def _build(
        cls,
        header: ModelHeader,
        groups: Groups,
        backbones: Sequence[type[Backbone]],
        by_name: dict[str, type[BaseDetector]],
    ) -> Self:
        if not all(each.isfinite().all() for group in groups.values() for each in group.values()):
            raise ValueError("a tensor holds numbers that are not finite")
        detector, unified, reference = read_heads(header, groups, by_name)
        layout = detector.layout
        preparation = Preparation.read(header.feature_factor, header.memory, groups, heads=layout)
        calibration = backbone = None
        if header.calibration is not None:
            calibration = Calibration.read(
                header.calibration,
                groups.get("calibration", {}),
                evidence_names(detector, preparation),
                (layout.channels - preparation.appended) * len(layout.scales),
            )
        if header.backbone is not None:
            tensors = groups.get("backbone", {})
            backbone = rebuild_backbone(header.backbone, tensors, extra=backbones)
            check_sizes(header.config.features, backbone, layout)
        return cls(
            detector=detector,
            unified=unified,
            reference=reference,
            preparation=preparation,
            calibration=calibration,
            backbone=backbone,
            config=header.config,
            seed=header.seed,
            manifest=header.manifest,
            history=header.history,
            exemplars=Exemplars.read(
                header.exemplars, groups.get("exemplars", {}), width=layout.row_size
            ),
            decision=header.decision,
            episodes=header.episodes,
            thumbnails=read_thumbnails(groups.get("training", {})),
        )


def evidence_names(detector: BaseDetector, preparation: Preparation) -> tuple[str, ...]:
    """Names of the heads, and of the memory's evidence if there is a memory."""
    return detector.head_names + (() if preparation.memory is None else (MEMORY,))
