"""The append-only results of a benchmark, in one folder.

`results.jsonl` has one trial's result per line, `configs.jsonl` the configs by the hashes that
results name, `scores/KEY.csv` the score of every tested image. A line that a killed run left
incomplete is dropped when the folder is opened again.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import DataError
from ahl._common.files import naming, remove_torn_line, written_whole
from ahl._common.schema import json_hash, read_json
from ahl._common.text import first_line
from ahl._common.types import ImageSize
from ahl.benchmark.methods import Labels, MethodKind


class TrialResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The figures of a trial, and the facts that identify it.

    Attributes:
        key: hash that identifies the trial.
        dataset, subset, setting, known_class, anomalies, seed, source: its draw.
        method: the method variant as given.
        title: the method's name in tables.
        kind, labels: the method's role in comparisons, and the anomalies it trains on.
        auroc, average_precision, auroc_seen, auroc_unseen, fpr95: image-level, as
            `ahl.scoring.metrics.Figures`; None where a test lacks the images for one.
        normals, tested_normals, tested_anomalies: numbers of images.
        skipped: number of images that could not be read.
        duplicates: number of test images left out because training has the same content or, where
            parts are kept together, another photograph of the same part.
        seconds: wall time of training and scoring, without extracting features.
        peak_mebibytes: peak resident memory of the process in MiB, features included.
        config: hash of the config in `configs.jsonl`.
        context: backbone, device, threads and versions.
        finished: time of the end, ISO 8601, UTC.
        image_size: height and width that images were resized to; None in results of earlier
            versions, whose config has it.
    """

    key: str
    dataset: str
    subset: str
    setting: str
    known_class: str
    anomalies: int
    seed: int
    source: str
    method: str
    title: str
    kind: MethodKind
    labels: Labels
    auroc: float
    average_precision: float
    auroc_seen: float | None
    auroc_unseen: float | None
    fpr95: float
    normals: int
    tested_normals: int
    tested_anomalies: int
    skipped: int
    duplicates: int
    seconds: float
    peak_mebibytes: float
    config: str
    context: dict[str, Any]
    finished: str
    image_size: ImageSize | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredTest:
    """The scores behind a result.

    Attributes:
        names: (N,) names of the tested images.
        classes: (N,) class names.
        labels: (N,) 1 for an anomaly.
        scores: (N,) higher = more anomalous.
    """

    names: list[str]
    classes: list[str]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]


class Results:
    """A results folder.

    Args:
        folder: the folder, created if missing and writable.
        writable: True to add results; False creates nothing, and ignores a line that another
            process is still writing.

    Attributes:
        trials: the results by their keys, in the order of the file.

    Raises:
        DataError: if a file holds invalid lines.
    """

    def __init__(self, folder: Path, *, writable: bool = True) -> None:
        self.folder = folder
        if writable:
            folder.mkdir(parents=True, exist_ok=True)
        self._file, self._configs = folder / "results.jsonl", folder / "configs.jsonl"
        try:
            lines = _lines(self._file, writable)
            found = [msgspec.convert(values, TrialResult) for values in lines]
        except msgspec.ValidationError as error:
            raise DataError(
                f"The results folder holds results in another format ({error}), made by another "
                "version of ahl; give another --output."
            ) from error
        self.trials = {result.key: result for result in found}
        self._known_configs = {str(line.get("hash")) for line in _lines(self._configs, writable)}

    def add(self, result: TrialResult, config: dict[str, Any], scored: ScoredTest) -> None:
        """Store a result; its line is written last, after its config and scores."""
        columns = (scored.names, scored.classes, scored.labels, scored.scores)
        with (
            written_whole(self.scores_file(result.key)) as path,
            path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["name", "class", "label", "score"])
            writer.writerows(zip(*columns, strict=True))
        if result.config not in self._known_configs:
            _append(self._configs, {"hash": result.config, "config": config})
            self._known_configs.add(result.config)
        _append(self._file, msgspec.structs.asdict(result))
        self.trials[result.key] = result

    def scores_file(self, key: str) -> Path:
        """Path of a trial's scores."""
        return self.folder / "scores" / f"{key}.csv"

    def scored(self, key: str) -> ScoredTest | None:
        """A trial's scores; None if their file is missing or damaged."""
        try:
            with self.scores_file(key).open(
                newline="", encoding="utf-8", errors="surrogateescape"
            ) as file:
                rows = list(csv.DictReader(file))
            scored = ScoredTest(
                names=[row["name"] for row in rows],
                classes=[row["class"] for row in rows],
                labels=np.array([int(row["label"]) for row in rows]),
                scores=np.array([float(row["score"]) for row in rows]),
            )
        except (FileNotFoundError, KeyError, TypeError, ValueError, csv.Error):
            return None
        return scored if np.isfinite(scored.scores).all() else None


def config_hash(config: dict[str, Any]) -> str:
    """Hash by which results name a config."""
    return json_hash(config)[:12]


def _lines(path: Path, repair: bool) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a file; an incomplete last line is ignored, or cut off."""
    if not path.exists():
        return
    if repair:
        remove_torn_line(path)
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            yield read_json(line, dict[str, Any])
        except ValueError as error:
            raise DataError(
                f"Line {number} of {path} is not a JSON object: {first_line(error)}."
            ) from error


def _append(path: Path, values: dict[str, Any]) -> None:
    with naming(path), path.open("ab") as file:
        file.write(json.dumps(values, sort_keys=True, allow_nan=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
