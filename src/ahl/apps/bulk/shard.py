"""One shard scored and written: the work that every scorer hands out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ahl._common.errors import DataError
from ahl.apps.bulk.fetching import Fetcher, chunks
from ahl.apps.bulk.inputs import Part
from ahl.apps.bulk.places import OutputFolder
from ahl.apps.bulk.shard_files import ShardFacts, as_parquet
from ahl.scoring.opening import open_scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTask:
    """A shard to score: its number among all, the name of its file, and its images."""

    number: int
    name: str
    part: Part


class ShardScorer:
    """A model, loaded once, that scores shard after shard.

    Args:
        model: the model file.
        output: path or URL of the folder for results.
        base: folder that relative image paths begin from.
        run: the run's fingerprint, kept in every shard.
        device: as in `open_scorer`.
        threads: likewise.

    Raises:
        ModelFileError: if the model cannot be read.
    """

    def __init__(
        self, model: Path, output: str, base: str, run: str, device: str, threads: int | None
    ) -> None:
        self._scorer = open_scorer(model, device=device, threads=threads)
        self._folder = OutputFolder(output)
        self._base = base
        self._run = run

    def score(self, task: ShardTask) -> ShardFacts:
        """Score a shard and write its file whole.

        Raises:
            DataError: if its images cannot be listed, none of them could be fetched, or the file
                cannot be written.
        """
        fetcher = Fetcher()
        rows: list[dict[str, Any]] = []
        for images in chunks(task.part, self._base, fetcher):
            found: dict[int, dict[str, Any]] = {}
            for prediction in self._scorer.predict([image.source for image in images]):
                name = images[prediction.index].name
                found[prediction.index] = {"path": name, **prediction.to_json()}
            rows += [found[index] for index in range(len(images))]
        if fetcher.failed == len(rows):
            raise DataError(
                f"None of the {len(rows)} images of shard {task.number} could be fetched: "
                f"{rows[0]['path']}: {rows[0]['error']}. When that is mended, the same command "
                "goes on."
            )
        facts = ShardFacts(
            run=self._run,
            shard=task.number,
            images=len(rows),
            unreadable=sum("score" not in row for row in rows),
            unfetched=fetcher.failed,
            anomalous=sum(row.get("anomalous") or False for row in rows),
        )
        card = self._scorer.card
        self._folder.write(task.name, as_parquet(rows, facts, card.heads, card.evidence))
        return facts


def model_digest(model: Path) -> str:
    """Identity of a model: the SHA-256 of its file."""
    with model.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
