"""The training images of a model, and those of each base model."""

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
"""Largest number of a support set's normals that are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFile:
    """An image that the model was trained on."""

    name: str
    sha256: str
    class_name: str
    part: str | None = None
    """Name shared by all photographs of one physical part, as in `Sample`."""


def training_file(image: LabelledImage, item: ImageItem) -> TrainingFile:
    """Make the manifest's entry of an image."""
    return TrainingFile(
        name=image.name, sha256=item.key, class_name=image.class_name, part=image.part
    )


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The training images of a model.

    Attributes:
        files: all training images: normals, then anomalies; after an adaptation preceded by those
            of earlier products.
        earlier: number of files of products before the last adaptation.
        drawn: `"all"` if all labelled anomalies were used, else the protocol's setting.
        known_class: in the hard setting, the class the anomalies were drawn from.
        skipped: number of images that could not be read.
        group_by: expression that read the files' parts from their names, as in `Dataset`.
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
        """Anomaly classes of the present product with at least one training image.

        Classes of earlier products do not count, even under the same name.
        """
        own = self.files[self.earlier :]
        return frozenset(f.class_name for f in own if f.class_name != GOOD)

    @property
    def hashes(self) -> frozenset[str]:
        """Content hashes of all training images."""
        return frozenset(f.sha256 for f in self.files)

    @property
    def parts(self) -> frozenset[str]:
        """Names of all parts in the training images; images without one are not among them."""
        return frozenset(f.part for f in self.files if f.part is not None)


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """A heterogeneous anomaly distribution D_i, for people and reports.

    Attributes:
        name: description of the normals in support and query.
        support_normals: number of normals in the support set.
        shown_normals: at most `SHOWN` of them, evenly spaced, as indices into the manifest's files.
        support_anomalies: all labelled anomalies of the support set, as indices into the files.
        support_pseudo: number of pseudo anomalies in the support set.
        support_generator: name of their generator; None without any.
        query_normals: number of normals in the query set.
        query_anomalies: number of labelled anomalies in the query set.
        query_pseudo: number of pseudo anomalies in the query set.
        query_generator: name of their generator; None without any.
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
        """Return a copy for a reordered manifest.

        Args:
            places: new index of each file; None for a relabelled file, which is left out.
        """

        def moved(indices: tuple[int, ...]) -> tuple[int, ...]:
            found = dict.fromkeys(places[index] for index in indices)
            return tuple(index for index in found if index is not None)

        return replace(
            self,
            shown_normals=moved(self.shown_normals),
            support_anomalies=moved(self.support_anomalies),
        )
