"""The training images of a model, and which of them each base model had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Self

from msgspec import Meta

from ahl._common.schema import Count
from ahl._common.types import GOOD, ImageItem
from ahl.data import Drawn
from ahl.data.images.sources import LabelledImage

SHOWN: Final = 8
"""Normals of a support set, at most, that stand for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFile:
    """One image the model was trained on."""

    name: str
    sha256: str
    class_name: str
    part: str | None = None
    """As in `Sample`."""


def training_file(image: LabelledImage, item: ImageItem) -> TrainingFile:
    """The entry of an image."""
    return TrainingFile(
        name=image.name, sha256=item.key, class_name=image.class_name, part=image.part
    )


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The training images of a model.

    Attributes:
        files: every training image: normals, then anomalies; after an adaptation those of the
            products before come first.
        earlier: how many of the files are of products before the last adaptation.
        drawn: `"all"` labelled anomalies were used, or a draw by the protocol's setting.
        known_class: in the hard setting, the class the anomalies were drawn from.
        skipped: number of images that could not be read.
        group_by: the expression that told the files' parts by their names, as in `Dataset`.
        copies: pairs of files that are copies of one another.
    """

    files: tuple[TrainingFile, ...] = ()
    earlier: Count = 0
    drawn: Drawn = "all"
    known_class: str | None = None
    skipped: Count = 0
    group_by: str | None = None
    copies: Count = 0

    def __post_init__(self) -> None:
        if self.earlier > len(self.files):
            raise ValueError("more files are of earlier products than there are")

    @property
    def seen_classes(self) -> frozenset[str]:
        """Anomaly classes of the product with at least one training image.

        A class of an earlier product is another one, whatever its name.
        """
        own = self.files[self.earlier :]
        return frozenset(f.class_name for f in own if f.class_name != GOOD)

    @property
    def hashes(self) -> frozenset[str]:
        """Content hashes of all training images."""
        return frozenset(f.sha256 for f in self.files)

    @property
    def parts(self) -> frozenset[str]:
        """Parts that more than one image may show, of all training images."""
        return frozenset(f.part for f in self.files if f.part is not None)


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """One heterogeneous anomaly distribution D_i, for people and reports.

    Attributes:
        name: which normals support and query hold.
        support_normals: how many normals the support set has.
        shown_normals: some of them, at most `SHOWN`, spread over all, as indices into the
            manifest's files.
        support_anomalies: all labelled anomalies of the support set, as such indices.
        support_pseudo: how many pseudo anomalies it has.
        support_generator: what made them; None where there are none.
        query_normals: how many normals the query set has.
        query_anomalies: how many labelled anomalies.
        query_pseudo: how many pseudo anomalies.
        query_generator: what made them; None where there are none.
    """

    name: str
    support_normals: Count
    shown_normals: Annotated[tuple[Count, ...], Meta(max_length=SHOWN)]
    support_anomalies: tuple[Count, ...]
    support_pseudo: Count
    support_generator: str | None
    query_normals: Count
    query_anomalies: Count
    query_pseudo: Count
    query_generator: str | None

    def __post_init__(self) -> None:
        for indices in (self.shown_normals, self.support_anomalies):
            if len(set(indices)) < len(indices):
                raise ValueError("an episode names an image twice")

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
