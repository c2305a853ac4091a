"""The trained artefact: feature rows in, head scores out; one file holds all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl import __version__
from ahl.backbones import Backbone, BackboneDescription, rebuild_backbone
from ahl.calibration import MEMORY, Calibration, gather
from ahl.collaboration import Model
from ahl.config import Config
from ahl.decision import Decision
from ahl.detectors import DETECTORS, BaseDetector
from ahl.errors import ConfigurationError, ModelFileError, WeightsError
from ahl.feature_maps import FeatureLayout, FeatureMaps, project_rows
from ahl.feature_table import FeatureTable
from ahl.losses import Prior
from ahl.manifest import Manifest, TrainingFile
from ahl.memory import Memory
from ahl.neighbourhood import descriptors
from ahl.records import EpochRecord
from ahl.reduction import Reduction
from ahl.tensor_file import Groups, read_tensor_file, write_tensor_file


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedModel:
    """Everything scoring needs.

    Attributes:
        detector: the heads, with their constants.
        unified: weights and running statistics of g.
        reference: the fixed normal that residuals are taken from, (C, H_s, W_s) a scale.
        reduction: of the channels of a feature row, before all else; None keeps them.
        feature_factor: what features are multiplied by before the heads see them; the reference
            is already.
        memory: of the training normals, whose evidence is the last channel of the features that
            the heads see; None for none.
        calibration: how its evidence and the heads' become a score; None for the base detector's
            own sum.
        backbone: None for a model trained on the caller's own feature maps.
        config: all constants of the run.
        seed: of the run.
        manifest: what it was trained on.
        records: losses and importance scores of every epoch.
        decision: where anomalous begins; None if it was not set.
    """

    detector: BaseDetector
    unified: Model
    reference: FeatureMaps
    reduction: Reduction | None
    feature_factor: float
    memory: Memory | None
    calibration: Calibration | None
    backbone: Backbone | None
    config: Config
    seed: int
    manifest: Manifest
    records: tuple[EpochRecord, ...]
    decision: Decision | None = None

    def score_rows(self, rows: Tensor) -> dict[str, Tensor]:
        """Score feature rows (N, row_size).

        Images are scored one at a time: a matrix product of another height may round
        differently, and an image must have one score whatever its batch.

        Returns:
            (N,) float32 by head name, the memory's evidence as `"memory"` where there is one, and
            the image score as `"score"`.
        """
        scored: dict[str, list[Tensor]] = {name: [] for name in (*self.evidence_names, "score")}
        weight = 0.0 if self.memory is None else self.memory.weight
        appended = 0 if self.memory is None else 1
        with torch.inference_mode():
            for index in range(len(rows)):
                maps = self._maps(rows[index : index + 1].float())
                heads, _ = self.detector.forward(
                    self.unified.parameters,
                    self.unified.statistics,
                    maps,
                    self.reference,
                    training=False,
                )
                evidence = gather(self.detector, heads, maps, weight)
                for name in self.evidence_names:
                    scored[name].append(heads.get(name, evidence[name]))
                scored["score"].append(
                    self.detector.combine(heads)
                    if self.calibration is None
                    else self.calibration.combine(evidence, descriptors(maps, appended))
                )
        return {name: torch.cat([*values, torch.empty(0)]) for name, values in scored.items()}

    def score_table(self, table: FeatureTable) -> NDArray[np.float64]:
        """Image scores (N,) of a table's rows."""
        found = [self.score_rows(rows)["score"] for _, rows in table.chunks(64)]
        return torch.cat([*found, torch.empty(0)]).double().numpy()

    @property
    def evidence_names(self) -> tuple[str, ...]:
        """Names of the heads, and of the memory's evidence where there is one."""
        return self.detector.head_names + (() if self.memory is None else (MEMORY,))

    @property
    def layout(self) -> FeatureLayout:
        """Shape of the maps in a feature row."""
        if self.reduction is None:
            return self._reduced_layout
        return self._reduced_layout.of_channels(len(self.reduction.components))

    @property
    def _reduced_layout(self) -> FeatureLayout:
        """Shape of what the heads see, but for the memory's evidence."""
        layout = self.detector.layout
        return layout if self.memory is None else layout.with_channels(-1)

    def _maps(self, row: Tensor) -> FeatureMaps:
        """What the heads see of a feature row (1, row_size)."""
        if self.reduction is not None:
            row = project_rows(row, self.layout, self.reduction.components)
        maps = self._reduced_layout.split(row)
        scaled = [scale * self.feature_factor for scale in maps]
        if self.memory is not None:
            evidence = self.memory.evidence(maps)
            scaled = [torch.cat(pair, dim=-3) for pair in zip(scaled, evidence, strict=True)]
        # Positions as rows of a matrix, as in training.
        return tuple(s.movedim(-3, -1).contiguous().movedim(-1, -3) for s in scaled)

    def header(self) -> dict[str, Any]:
        """All that is not a tensor, as JSON values."""
        backbone = None if self.backbone is None else asdict(self.backbone.describe())
        return {
            "ahl_version": __version__,
            "base": self.detector.name,
            "prior": list(self.detector.prior),
            "feature_factor": self.feature_factor,
            "memory": None if self.memory is None else self.memory.constants(),
            "calibration": None if self.calibration is None else self.calibration.values(),
            "decision": None if self.decision is None else self.decision.values(),
            "config": self.config.to_dict(),
            "seed": self.seed,
            "backbone": backbone,
            "manifest": asdict(self.manifest),
            "records": [asdict(record) for record in self.records],
        }

    def save(self, path: Path) -> None:
        """Write the model as one file; equal models give equal bytes.

        Raises:
            ModelFileError: if the file cannot be written.
        """
        groups = {
            "heads": self.unified.parameters,
            "statistics": self.unified.statistics,
            "memory": {} if self.memory is None else self.memory.tensors(),
            "calibration": {} if self.calibration is None else self.calibration.tensors(),
            "reference": {str(i): scale for i, scale in enumerate(self.reference)},
            "backbone": {} if self.backbone is None else self.backbone.tensors(),
            "reduction": {} if self.reduction is None else self.reduction.tensors(),
        }
        write_tensor_file(path, "model", self.header(), groups)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        backbones: Sequence[type[Backbone]] = (),
        detectors: Sequence[type[BaseDetector]] = (),
    ) -> TrainedModel:
        """Read a model file; no code from it is run and nothing is fetched.

        Args:
            path: the file.
            backbones: further backbone classes that the file may name.
            detectors: further detector classes that the file may name.

        Raises:
            ModelFileError: if the file is not a whole, unaltered model that this version reads.
        """
        header, groups = read_tensor_file(path, "model")
        try:
            return cls._build(header, groups, backbones, (*DETECTORS, *detectors))
        except (
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            AttributeError,
            ArithmeticError,  # a number that is too large
            RuntimeError,  # RecursionError too; torch's own
            MemoryError,
            ConfigurationError,
            WeightsError,
        ) as error:
            raise ModelFileError(
                f"{path} holds values that do not fit together: {error}"
            ) from error

    @classmethod
    def _build(
        cls,
        header: dict[str, Any],
        groups: Groups,
        backbones: Sequence[type[Backbone]],
        detectors: Sequence[type[BaseDetector]],
    ) -> TrainedModel:
        for group in groups.values():
            if not all(tensor.isfinite().all() for tensor in group.values()):
                raise ValueError("a tensor holds numbers that are not finite")
        config = Config.from_dict(header["config"])
        reference = _reference(groups["reference"])
        by_name = {detector.name: detector for detector in detectors}
        if header["base"] not in by_name:
            raise ValueError(f"it needs the base detector {header['base']!r}, which is not here")
        mean, deviation = (float(value) for value in header["prior"])
        if not (isfinite(mean) and 0.0 < deviation < float("inf")):
            raise ValueError("the prior is no distribution")
        detector = by_name[header["base"]](
            config.heads, FeatureLayout.of(reference), Prior(mean, deviation)
        )
        factor = float(header["feature_factor"])
        if not 0.0 < factor < float("inf"):
            raise ValueError(f"the factor of the features is {factor}")
        plain = detector.layout.channels - (header["memory"] is not None)
        reduction = None
        if "reduction" in groups:
            reduction = Reduction.rebuild(groups["reduction"], width=plain)
        memory = None
        if header["memory"] is not None:
            memory = Memory.rebuild(header["memory"], groups["memory"], width=plain)
            if len(memory.patches) != len(reference):
                raise ValueError("the memory has another number of scales than the features")
        calibration = None
        if header["calibration"] is not None:
            names = detector.head_names + (() if memory is None else (MEMORY,))
            calibration = Calibration.rebuild(
                header["calibration"],
                groups.get("calibration", {}),
                names,
                plain * len(detector.layout.scales),
            )
        decided = header["decision"]
        unified = Model(groups.get("heads", {}), groups.get("statistics", {}))
        expected = Model(
            detector.initial_parameters(torch.Generator()), detector.initial_statistics()
        )
        for given, wanted in zip(unified, expected, strict=True):
            if _forms(given) != _forms(wanted):
                raise ValueError("the heads' weights do not have the shapes of its settings")
        backbone = None
        if header["backbone"] is not None:
            description = BackboneDescription(**header["backbone"])
            backbone = rebuild_backbone(description, groups["backbone"], extra=backbones)
        manifest = dict(header["manifest"])
        manifest["files"] = tuple(TrainingFile(**file) for file in manifest["files"])
        return cls(
            detector=detector,
            unified=unified,
            reference=reference,
            reduction=reduction,
            feature_factor=factor,
            memory=memory,
            calibration=calibration,
            backbone=backbone,
            config=config,
            seed=int(header["seed"]),
            manifest=Manifest(**manifest),
            records=tuple(EpochRecord.from_values(values) for values in header["records"]),
            decision=None if decided is None else Decision.rebuild(decided),
        )


def _reference(stored: dict[str, Tensor]) -> FeatureMaps:
    reference = tuple(stored[str(i)] for i in range(len(stored)))
    if any(scale.ndim != 3 or scale.dtype != torch.float32 for scale in reference):
        raise ValueError("the reference features are not maps")
    return reference


def _forms(tensors: dict[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
