"""Small pictures of what a model was trained on, as far as it keeps them."""

from __future__ import annotations

from collections.abc import Iterable

from ahl._common.types import Pixels
from ahl.model.trained import TrainedModel


def training_thumbnails(model: TrainedModel, indices: Iterable[int]) -> dict[int, Pixels]:
    """Small pictures of training images.

    Args:
        model: the trained model.
        indices: into its manifest's files.

    Returns:
        (H, W, 3) by index; of those that the model keeps no picture of, none.
    """
    files, exemplars = model.manifest.files, model.exemplars
    places = {one.sha256: place for place, one in enumerate(exemplars.images)}
    found = {}
    for index in indices:
        place = places.get(files[index].sha256)
        picture = None if place is None else exemplars.picture(place)
        if picture is not None and picture.any():  # black: it could not be read again
            found[index] = picture
    return found


def pseudo_thumbnails(model: TrainedModel, generator: str, most: int) -> list[tuple[str, Pixels]]:
    """Some pseudo anomalies of one generator.

    Args:
        model: the trained model.
        generator: its name.
        most: how many at most; evenly spaced ones of those kept.

    Returns:
        what each is, and its picture (H, W, 3).
    """
    exemplars = model.exemplars
    places = [
        place
        for place, one in enumerate(exemplars.images)
        if one.role == "pseudo" and one.class_name == generator
    ]
    chosen = places[:: -(-len(places) // most)] if places else []
    found = [(exemplars.images[place].name, exemplars.picture(place)) for place in chosen]
    return [(name, picture) for name, picture in found if picture is not None and picture.any()]
