"""What each base model had: its D_i in words and small pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ahl.datasets import Dataset
from ahl.episode_records import EpisodeRecord
from ahl.model import TrainedModel
from ahl.report.inline_images import data_uri
from ahl.report.training_images import training_thumbnails
from ahl.report.words import images
from ahl.types import Pixels

CARDS: Final = 32
"""Most base models that get a card."""

ANOMALIES: Final = 12
"""Most support anomalies that a card shows."""

_PICTURES: Final = 240
"""Most different pictures in all: what they add to the page stays below a megabyte or two."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A training image on a card.

    Attributes:
        index: into the manifest's files.
        alt: what it is.
        anomaly: whether it is a labelled anomaly.
        width, height: of its picture in pixels; None where there is no picture.
    """

    index: int
    alt: str
    anomaly: bool
    width: int | None
    height: int | None


@dataclass(frozen=True, kw_only=True)
class Card:
    """One base model.

    Attributes:
        number: i of D_i, from 1.
        name: which normals support and query hold.
        importance: w_i in the last epoch; None if it is not known.
        support: what its support set held, in words.
        query: what its query set held.
        tiles: some of the support's images.
        more: labelled anomalies of the support that are not shown.
    """

    number: int
    name: str
    importance: float | None
    support: str
    query: str
    tiles: tuple[Tile, ...]
    more: int


@dataclass(frozen=True, kw_only=True)
class Cards:
    """The cards, and each picture on them once.

    Attributes:
        cards: one a base model, at most `CARDS`.
        left_out: base models without a card.
        pictures: data by index into the manifest's files, with width and height.
        missing: different images on the cards whose picture could not be had.
    """

    cards: tuple[Card, ...]
    left_out: int
    pictures: Mapping[int, tuple[str, int, int]]
    missing: int


def make_cards(model: TrainedModel, dataset: Dataset) -> Cards:
    """Describe the episodes that a model keeps.

    Args:
        model: the trained model; may have none.
        dataset: where the pictures of its training images may be.
    """
    episodes = model.episodes[:CARDS]
    # Anomalies first: there are few of them, and every card has some.
    wanted = [i for episode in episodes for i in episode.support_anomalies[:ANOMALIES]]
    wanted += [i for episode in episodes for i in episode.shown_normals]
    shown = list(dict.fromkeys(wanted))
    found = training_thumbnails(model, shown[:_PICTURES], dataset)
    weights = next((r.importance for r in reversed(model.records) if r.query_losses), ())
    return Cards(
        cards=tuple(
            _card(model, number, episode, weights, found)
            for number, episode in enumerate(episodes, start=1)
        ),
        left_out=len(model.episodes) - len(episodes),
        pictures={
            index: (data_uri(pixels), pixels.shape[1], pixels.shape[0])
            for index, pixels in sorted(found.items())
        },
        missing=len(shown) - len(found),
    )


def _card(
    model: TrainedModel,
    number: int,
    episode: EpisodeRecord,
    weights: tuple[float, ...],
    found: Mapping[int, Pixels],
) -> Card:
    files = model.manifest.files
    classes = Counter(files[index].class_name for index in episode.support_anomalies)
    named = ", ".join(
        name if len(classes) == 1 else f"{count:,} {name}"
        for name, count in sorted(classes.items())
    )
    shown = episode.support_anomalies[:ANOMALIES]

    def tile(index: int, *, anomaly: bool) -> Tile:
        height, width = found[index].shape[:2] if index in found else (None, None)
        return Tile(
            index=index,
            alt=f"{files[index].class_name}: {files[index].name}",
            anomaly=anomaly,
            width=width,
            height=height,
        )

    return Card(
        number=number,
        name=episode.name.replace("->", "→"),
        importance=weights[number - 1] if number <= len(weights) else None,
        support=_set_in_words(
            episode.support_normals,
            f"{images(len(episode.support_anomalies), 'anomaly')}" + (f" ({named})" * bool(named)),
            episode.support_pseudo,
            episode.support_generator,
        ),
        query=_set_in_words(
            episode.query_normals,
            images(episode.query_anomalies, "anomaly"),
            episode.query_pseudo,
            episode.query_generator,
        ),
        tiles=(
            *(tile(index, anomaly=True) for index in shown),
            *(tile(index, anomaly=False) for index in episode.shown_normals),
        ),
        more=len(episode.support_anomalies) - len(shown),
    )


def _set_in_words(normals: int, anomalies: str, pseudo: int, generator: str | None) -> str:
    words = f"{images(normals, 'good image')}, {anomalies}"
    if generator is not None:
        words += f", {images(pseudo, 'pseudo anomaly')} made by {generator}"
    return words
