"""Scores as rows of a Parquet file: the values that `ahl predict --json` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any, Final, Self

from ahl._common.errors import DataError
from ahl.apps.bulk.places import OutputFolder, parquet_file

_KEY: Final = b"ahl"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFacts:
    """What a shard's file says of itself, in its footer.

    Attributes:
        run: fingerprint of the run that it belongs to.
        shard: its number.
        images: how many rows it has.
        unreadable: how many of them have an error instead of scores.
        unfetched: how many of those a store did not give, and might another time.
        anomalous: how many lie above the model's threshold.
    """

    run: str
    shard: int
    images: int
    unreadable: int = 0
    unfetched: int = 0
    anomalous: int = 0

    @classmethod
    def read(cls, folder: OutputFolder, name: str) -> Self | None:
        """The facts of a shard's file; None for one that is damaged, cut or foreign."""
        try:
            with parquet_file(folder.path(name)) as file:
                stored = (file.schema_arrow.metadata or {}).get(_KEY, b"{}")
                facts = cls(**json.loads(stored))
                return facts if facts.images == file.metadata.num_rows else None
        except (DataError, TypeError, ValueError):
            return None


def as_parquet(
    rows: Sequence[Mapping[str, Any]],
    facts: ShardFacts,
    heads: Sequence[str],
    evidence: Sequence[str],
) -> bytes:
    """The bytes of a shard's file; the same arguments give the same bytes.

    Args:
        rows: `path` and `Prediction.to_json()` of each image, in order.
        facts: kept in the footer.
        heads: names of the model's heads.
        evidence: of what its scores are sums of; empty for a model that is not calibrated.
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
    schema = pa.schema(fields, metadata={_KEY: json.dumps(asdict(facts), sort_keys=True)})
    stream = BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), stream, compression="zstd")
    return stream.getvalue()
