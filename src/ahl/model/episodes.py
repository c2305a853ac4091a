"""What a model keeps of its episodes D_i: which training images each base model had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

SHOWN: Final = 8
"""Normals of a support set, at most, that stand for all of them."""

_COUNTS: Final = (
    "support_normals",
    "support_pseudo",
    "query_normals",
    "query_anomalies",
    "query_pseudo",
)


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """One heterogeneous anomaly distribution D_i, for people and reports.

    Attributes:
        name: which normals support and query hold.
        support_normals: how many normals the support set has.
        shown_normals: some of them, at most `SHOWN`, spread over all, as indices into the
            manifest's files.
        support_anomalies: the labelled anomalies of the support set, likewise, all of them.
        support_pseudo: how many pseudo anomalies it has.
        support_generator: what made them; None where there are none.
        query_normals: how many normals the query set has.
        query_anomalies: how many labelled anomalies.
        query_pseudo: how many pseudo anomalies.
        query_generator: what made them; None where there are none.
    """

    name: str
    support_normals: int
    shown_normals: tuple[int, ...]
    support_anomalies: tuple[int, ...]
    support_pseudo: int
    support_generator: str | None
    query_normals: int
    query_anomalies: int
    query_pseudo: int
    query_generator: str | None

    def renumbered(self, places: Sequence[int | None]) -> Self:
        """The same where the manifest's files stand in other places.

        Args:
            places: new index of each file; None where it is labelled otherwise now, and not shown.
        """

        def moved(indices: tuple[int, ...]) -> tuple[int, ...]:
            found = dict.fromkeys(places[index] for index in indices)
            return tuple(index for index in found if index is not None)

        return replace(
            self,
            shown_normals=moved(self.shown_normals),
            support_anomalies=moved(self.support_anomalies),
        )

    @classmethod
    def from_values(cls, values: Mapping[str, Any], files: int) -> Self:
        """Rebuild a record from its JSON values.

        Args:
            values: of one record.
            files: how many files the manifest has.

        Raises:
            KeyError, TypeError, ValueError: if they are not those of a record over such a manifest.
        """
        shown = _indices(values["shown_normals"], files)
        if len(shown) > SHOWN:
            raise ValueError(f"an episode shows {len(shown)} normals, more than {SHOWN}")
        return cls(
            name=_text(values["name"]),
            shown_normals=shown,
            support_anomalies=_indices(values["support_anomalies"], files),
            support_generator=_generator(values["support_generator"]),
            query_generator=_generator(values["query_generator"]),
            **{name: _count(values[name]) for name in _COUNTS},
        )


def episode_records(values: Sequence[Mapping[str, Any]], files: int) -> tuple[EpisodeRecord, ...]:
    """Rebuild all records of a model file; the arguments are as for `EpisodeRecord.from_values`.

    Raises:
        KeyError, TypeError, ValueError: if they are none.
    """
    if not isinstance(values, list):
        raise TypeError("the episodes are not a list")
    return tuple(EpisodeRecord.from_values(one, files) for one in values)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"an episode counts {value!r} images")
    return value


def _indices(values: object, files: int) -> tuple[int, ...]:
    if not isinstance(values, (list, tuple)):
        raise TypeError("an episode's images are not a list")
    indices = tuple(_count(value) for value in values)
    if len(set(indices)) < len(indices) or any(index >= files for index in indices):
        raise ValueError("an episode names images that the manifest does not have, or one twice")
    return indices


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("an episode's name is not text")
    return value


def _generator(value: object) -> str | None:
    return None if value is None else _text(value)
