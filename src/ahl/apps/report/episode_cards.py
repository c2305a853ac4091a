"""What each base model had: its D_i in words and small pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ahl._common.types import GOOD
from ahl.apps.report.inline_images import data_uri
from ahl.apps.report.training_images import pseudo_thumbnails, training_thumbnails
from ahl.apps.report.words import images
from ahl.model.manifest import EpisodeRecord
from ahl.model.trained import TrainedModel

CARDS: Final = 32
"""Most base models that get a card."""

ANOMALIES: Final = 12
"""Most support anomalies that a card shows."""

PSEUDO: Final = 3
"""Pseudo anomalies that stand for those of a generator."""

_PICTURES: Final = 240
"""Most different pictures in all: what they add to the page stays below a megabyte or two."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A training image on a card.

    Attributes:
        picture: key into the pictures.
        alt: what it is.
        kind: `"anomaly"`, `"pseudo"` or `"normal"`.
    """

    picture: str
    alt: str
    kind: str


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
        pictures: address by key.
        missing: different images on the cards of which the model keeps no picture.
    """

    cards: tuple[Card, ...]
    left_out: int
    pictures: Mapping[str, str]
    missing: int


def make_cards(model: TrainedModel) -> Cards:
    """Describe the episodes that a model keeps.

    Args:
        model: the trained model; may have none.
    """
    episodes = model.episodes[:CARDS]
    # Anomalies first: there are few of them, and every card has some.
    wanted = [i for episode in episodes for i in episode.support_anomalies[:ANOMALIES]]
    wanted += [i for episode in episodes for i in episode.shown_normals]
    shown = list(dict.fromkeys(wanted))
    files = model.manifest.files
    pictures, tiles = {}, {}
    for index, pixels in training_thumbnails(model, shown[:_PICTURES]).items():
        key, file = f"t{index}", files[index]
        pictures[key] = data_uri(pixels)
        kind = "normal" if file.class_name == GOOD else "anomaly"
        tiles[index] = Tile(picture=key, alt=f"{file.class_name}: {file.name}", kind=kind)
    twins: dict[str, list[Tile]] = {}
    for number, generator in enumerate(_generators(model)):
        for place, (name, pixels) in enumerate(pseudo_thumbnails(model, generator, PSEUDO)):
            key = f"p{number}-{place}"
            pictures[key] = data_uri(pixels)
            tile = Tile(picture=key, alt=f"pseudo anomaly: {name}", kind="pseudo")
            twins.setdefault(generator, []).append(tile)
    weights = next((r.importance for r in reversed(model.history) if r.query_losses), ())
    return Cards(
        cards=tuple(
            _card(model, number, episode, weights, tiles, twins)
            for number, episode in enumerate(episodes, start=1)
        ),
        left_out=len(model.episodes) - len(episodes),
        pictures=pictures,
        missing=len(shown) - len(tiles),
    )


def _generators(model: TrainedModel) -> list[str]:
    """Those of the supports; none after an adaptation, which keeps pictures of its own only."""
    if model.manifest.earlier:
        return []
    return sorted({e.support_generator for e in model.episodes if e.support_generator is not None})


def _card(
    model: TrainedModel,
    number: int,
    episode: EpisodeRecord,
    weights: tuple[float, ...],
    tiles: Mapping[int, Tile],
    twins: Mapping[str, list[Tile]],
) -> Card:
    files = model.manifest.files
    classes = Counter(files[index].class_name for index in episode.support_anomalies)
    named = ", ".join(
        name if len(classes) == 1 else f"{count:,} {name}"
        for name, count in sorted(classes.items())
    )
    shown = episode.support_anomalies[:ANOMALIES]
    pseudo = twins.get(episode.support_generator or "", [])
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
            *(tiles[index] for index in shown if index in tiles),
            *pseudo,
            *(tiles[index] for index in episode.shown_normals if index in tiles),
        ),
        more=len(episode.support_anomalies) - len(shown),
    )


def _set_in_words(normals: int, anomalies: str, pseudo: int, generator: str | None) -> str:
    words = f"{images(normals, 'good image')}, {anomalies}"
    if generator is not None:
        words += f", {images(pseudo, 'pseudo anomaly')} made by {generator}"
    return words
