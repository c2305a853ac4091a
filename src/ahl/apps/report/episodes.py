"""Cards of the base models: the D_i of each in words and small pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ahl._common.types import GOOD
from ahl.apps.report.cases import stored_picture
from ahl.model.manifest import EpisodeRecord
from ahl.model.trained import TrainedModel

CARDS: Final = 32
"""Most base models that get a card."""

ANOMALIES: Final = 12
"""Most support anomalies that a card shows."""

PSEUDO: Final = 3
"""Most pseudo anomalies of a generator that a card shows."""

_PICTURES: Final = 240
"""Most different pictures in all: what they add to the page stays below a megabyte or two."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A training image on a card.

    Attributes:
        key: identifier of its picture on the page.
        alt: what it shows.
        kind: `"anomaly"`, `"pseudo"` or `"normal"`.
        picture: data URI.
    """

    key: str
    alt: str
    kind: str
    picture: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """A base model, as the report shows it.

    Attributes:
        episode: its D_i.
        importance: w_i in the last epoch; None if it is not known.
        classes: labelled anomalies of the support set by class.
        tiles: some of the support's images.
        more: labelled anomalies of the support that are not shown.
    """

    episode: EpisodeRecord
    importance: float | None
    classes: Mapping[str, int]
    tiles: tuple[Tile, ...]
    more: int


@dataclass(frozen=True, kw_only=True)
class Cards:
    """The cards, and each tile on them once.

    Attributes:
        cards: one a base model, at most `CARDS`.
        left_out: base models without a card.
        tiles: all tiles on the cards.
        missing: training images that the cards lack, as no picture is kept or there are too many.
    """

    cards: tuple[Card, ...]
    left_out: int
    tiles: tuple[Tile, ...]
    missing: int


def make_cards(model: TrainedModel) -> Cards:
    """Make a card of each episode that a model keeps; it may keep none."""
    episodes = model.episodes[:CARDS]
    # Anomalies first: there are few of them, and every card has some.
    wanted = [i for episode in episodes for i in episode.support_anomalies[:ANOMALIES]]
    wanted += [i for episode in episodes for i in episode.shown_normals]
    shown = list(dict.fromkeys(wanted))
    tiles = training_tiles(model, shown[:_PICTURES])
    twins: dict[str, list[Tile]] = {}
    if not model.manifest.earlier:  # an adaptation keeps pictures of its own only
        generators = {one.support_generator for one in model.episodes if one.support_generator}
        for number, generator in enumerate(sorted(generators)):
            twins[generator] = pseudo_tiles(model, generator, f"p{number}")
    weights = next((r.importance for r in reversed(model.history) if r.query_losses), ())
    cards = []
    for number, episode in enumerate(episodes):
        anomalies = episode.support_anomalies
        classes = Counter(model.manifest.files[index].class_name for index in anomalies)
        cards.append(
            Card(
                episode=episode,
                importance=weights[number] if number < len(weights) else None,
                classes=dict(sorted(classes.items())),
                tiles=(
                    *(tiles[index] for index in anomalies[:ANOMALIES] if index in tiles),
                    *twins.get(episode.support_generator or "", ()),
                    *(tiles[index] for index in episode.shown_normals if index in tiles),
                ),
                more=max(0, len(anomalies) - ANOMALIES),
            )
        )
    return Cards(
        cards=tuple(cards),
        left_out=len(model.episodes) - len(episodes),
        tiles=(*tiles.values(), *(tile for some in twins.values() for tile in some)),
        missing=len(shown) - len(tiles),
    )


def training_tiles(model: TrainedModel, indices: Iterable[int]) -> dict[int, Tile]:
    """Tiles of training images, by index into the manifest's files, where a picture is kept."""
    files, exemplars = model.manifest.files, model.exemplars
    places = {one.sha256: place for place, one in enumerate(exemplars.images)}
    tiles = {}
    for index in indices:
        file = files[index]
        place = places.get(file.sha256)
        picture = None if place is None else stored_picture(exemplars.picture(place))
        if picture is not None:
            kind = "normal" if file.class_name == GOOD else "anomaly"
            alt = f"{file.class_name}: {file.name}"
            tiles[index] = Tile(key=f"t{index}", alt=alt, kind=kind, picture=picture)
    return tiles


def pseudo_tiles(model: TrainedModel, generator: str, key: str) -> list[Tile]:
    """Tiles of at most `PSEUDO` pseudo anomalies of a generator, evenly spaced among those kept."""
    exemplars = model.exemplars
    kept = [
        (place, one.name)
        for place, one in enumerate(exemplars.images)
        if one.role == "pseudo" and one.class_name == generator
    ]
    return [
        Tile(key=f"{key}-{number}", alt=f"pseudo anomaly: {name}", kind="pseudo", picture=picture)
        for number, (place, name) in enumerate(kept[:: -(-len(kept) // PSEUDO) or 1])
        if (picture := stored_picture(exemplars.picture(place))) is not None
    ]
