"""Shards scored by a model, as Parquet files with the values that `ahl predict --json` prints."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Final, Self

import msgspec

from ahl._common.errors import DataError, ModelFileError
from ahl._common.schema import read_json
from ahl.apps.bulk.fetching import Fetcher, chunks
from ahl.apps.bulk.inputs import Part
from ahl.apps.bulk.places import OutputFolder, parquet_file
from ahl.data.images.variety import notes_on_numbers
from ahl.scoring.opening import open_scorer

_KEY: Final = b"ahl"

Count = Annotated[int, msgspec.Meta(ge=0)]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that all shards of a run share.

    Attributes:
        model: the model file.
        sha256: of its bytes.
        output: path or URL of the folder for results.
        base: folder that relative image paths begin from.
        run: fingerprint of the run, kept in every shard.
        device: as in `ahl.scoring.opening.open_scorer`.
    """

    model: Path
    sha256: str
    output: str
    base: str
    run: str
    device: str


class ShardTask(msgspec.Struct, frozen=True, kw_only=True):
    """A shard to score: its number among all, the name of its file, its images and their state."""

    number: int
    name: str
    part: Part
    state: str


class ShardFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about a shard, in the footer of its file.

    Attributes:
        run: fingerprint of the run that it belongs to.
        shard: its number.
        state: of its images' files when the run was planned; if it changes, the shard is scored
            again.
        images: number of rows.
        unreadable: rows with an error instead of scores.
        unfetched: those of them that could not be fetched.
        anomalous: rows above the model's threshold.
        notes: on pixel values of more than 8 bits in its first images.
    """

    run: str
    shard: Count
    state: str
    images: Count
    unreadable: Count = 0
    unfetched: Count = 0
    anomalous: Count = 0
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: OutputFolder, name: str) -> Self | None:
        """The facts of a shard's file; None for one that is damaged, cut or foreign."""
        try:
            with parquet_file(folder.path(name)) as file:
                stored = (file.schema_arrow.metadata or {}).get(_KEY, b"{}")
                facts = read_json(stored, cls)
                return facts if facts.images == file.metadata.num_rows else None
        except (DataError, ValueError):
            return None


class ShardScorer:
    """A model, loaded once, that scores shard after shard.

    Args:
        job: the run.
        threads: as in `open_scorer`.

    Raises:
        ModelFileError: if the model cannot be read, or was replaced meanwhile.
    """

    def __init__(self, job: Job, threads: int | None) -> None:
        self._scorer = open_scorer(job.model, device=job.device, threads=threads)
        if file_sha256(job.model) != job.sha256:
            raise ModelFileError(f"{job.model} was replaced during the run; try again.")
        self._folder = OutputFolder(job.output)
        self._job = job

    def score(self, task: ShardTask) -> ShardFacts:
        """Score a shard and write its file whole.

        Raises:
            DataError: if its images cannot be listed, none of them could be fetched, or the file
                cannot be written.
        """
        fetcher = Fetcher()
        rows: list[dict[str, Any]] = []
        notes: tuple[str, ...] = ()
        card = self._scorer.card
        for images in chunks(task.part, self._job.base, fetcher):
            sources = [image.source for image in images]
            notes = notes if rows else tuple(notes_on_numbers(sources, card.bit_depth))
            predictions = self._scorer.predict(sources)
            values = {one.index: one.to_json() for one in predictions}
            rows += [{"path": image.name, **values[n]} for n, image in enumerate(images)]
        if fetcher.failed == len(rows):
            raise DataError(
                f"None of the {len(rows)} images of shard {task.number} could be fetched: "
                f"{rows[0]['path']}: {rows[0]['error']}. Fix that and run the same command again: "
                "it continues."
            )
        facts = ShardFacts(
            run=self._job.run,
            shard=task.number,
            state=task.state,
            images=len(rows),
            unreadable=sum("score" not in row for row in rows),
            unfetched=fetcher.failed,
            anomalous=sum(row.get("anomalous") or False for row in rows),
            notes=notes,
        )
        self._folder.write(task.name, as_parquet(rows, facts, card.heads, card.evidence))
        return facts


def as_parquet(
    rows: Sequence[Mapping[str, Any]],
    facts: ShardFacts,
    heads: Sequence[str],
    evidence: Sequence[str],
) -> bytes:
    """The bytes of a shard's file; the same arguments give the same bytes.

    Args:
        rows: `path` and `Prediction.to_json()` of each image, in order. Bytes of a path that are
            not UTF-8 are written as `\\xe9`.
        facts: kept in the footer.
        heads: names of the model's heads.
        evidence: names of the terms of its scores; empty for a model that is not calibrated.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [
        ("path", pa.string()),
        ("score", pa.float64()),
        ("probability", pa.float64()),
        ("verdict", pa.string()),
        ("anomalous", pa.bool_()),
    ]
    for name, parts in (("heads", heads), ("evidence", evidence)):
        if parts:
            fields.append((name, pa.struct([(part, pa.float64()) for part in parts])))
    fields.append(("error", pa.string()))
    schema = pa.schema(fields, metadata={_KEY: msgspec.json.encode(facts)})
    stream = BytesIO()
    named = [{**row, "path": _in_utf_8(row["path"])} for row in rows]
    pq.write_table(pa.Table.from_pylist(named, schema=schema), stream, compression="zstd")
    return stream.getvalue()


def _in_utf_8(path: str) -> str:
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
