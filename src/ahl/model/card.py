"""The card of a model: facts for its users, without weights and without torch."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Self

import numpy as np
from msgspec import Meta
from PIL import Image

from ahl._common.schema import Count, Finite, base_of, read_values
from ahl._common.types import Pixels
from ahl.config.image_size import LARGEST_SIDE, Depth
from ahl.evidence.probability import Probability
from ahl.model.decision import Decision

Side = Annotated[int, Meta(ge=1, le=LARGEST_SIDE)]
Texts = Annotated[tuple[str, ...], Meta(max_length=10_000)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """A training image to which others are compared.

    Attributes:
        name: its name.
        class_name: its class.
        picture: small picture (S, S, 3); None if there is none.
    """

    name: str
    class_name: str
    picture: Pixels | None = None


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """Facts about a model, for people and programs.

    Attributes:
        version: version of ahl that wrote the model.
        sha256: hash of its content; models of equal hashes give equal scores.
        base: name of the base detector.
        backbone: description of the backbone, for people.
        image_size: height and width in pixels that images are resized to.
        bit_depth: bits actually used in 16-bit grey values.
        heads: names of the heads.
        evidence: names of the evidence that adds up to the score; empty without calibration.
        meanings: meaning of a high score of each head and of the memory, by name.
        decision: the threshold; None if it was not set.
        probability: probability that an image is anomalous, by its score; None without calibration.
        colour_bounds: heat at which colouring of a heat map begins, and at which it is full;
            None without calibration.
        classes: classes of the labelled anomalies it was trained on.
        normals: number of good images it was trained on.
        anomalies: number of labelled anomalies it was trained on.
    """

    version: str
    sha256: str
    base: str
    backbone: str
    image_size: tuple[Side, Side]
    bit_depth: Depth = 16
    heads: Texts
    evidence: Texts
    meanings: Mapping[str, str]
    decision: Decision | None
    probability: Probability | None
    colour_bounds: tuple[Finite, Finite] | None
    classes: Texts
    normals: Count
    anomalies: Count

    def __post_init__(self) -> None:
        if self.colour_bounds is not None and self.colour_bounds[0] >= self.colour_bounds[1]:
            raise ValueError(f"colour_bounds are {self.colour_bounds}; expected the lower first")


@dataclass(frozen=True, kw_only=True)
class ModelCard(ModelFacts):
    """Everything about a model except the computation of its scores.

    Attributes:
        shown_normals: good images to which others are compared.
        shown_anomalies: labelled anomalies to which others are compared.
    """

    shown_normals: tuple[Shown, ...] = field(default=(), repr=False, compare=False)
    shown_anomalies: tuple[Shown, ...] = field(default=(), repr=False, compare=False)

    def facts(self) -> dict[str, Any]:
        """The facts as JSON values."""
        return asdict(base_of(self, ModelFacts))

    def values(self) -> dict[str, Any]:
        """The card as JSON values; `rebuild` is the inverse."""
        return {
            **self.facts(),
            "shown_normals": asdict(_Sheet.of(self.shown_normals)),
            "shown_anomalies": asdict(_Sheet.of(self.shown_anomalies)),
        }

    @classmethod
    def rebuild(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a card from the JSON values of `values`.

        Raises:
            ValueError, TypeError: if they are not those of a card.
        """
        facts = dict(values)
        normals, anomalies = (
            read_values(facts.pop(name, None), _Sheet).shown()
            for name in ("shown_normals", "shown_anomalies")
        )
        own = vars(read_values(facts, ModelFacts))
        return cls(**own, shown_normals=normals, shown_anomalies=anomalies)


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    """Shown images as JSON values.

    Attributes:
        names: names of the images.
        classes: their classes.
        pictures: pictures below one another in one PNG, in base 64; None if one is missing.
    """

    names: Texts
    classes: Texts
    pictures: str | None

    def __post_init__(self) -> None:
        if len(self.names) != len(self.classes):
            raise ValueError("the card's images do not have a class each")

    @classmethod
    def of(cls, shown: Sequence[Shown]) -> Self:
        pictures = [one.picture for one in shown if one.picture is not None]
        sheet = None
        if pictures and len(pictures) == len(shown):
            file = io.BytesIO()
            Image.fromarray(np.concatenate(pictures)).save(file, format="PNG")
            sheet = base64.b64encode(file.getvalue()).decode("ascii")
        return cls(
            names=tuple(one.name for one in shown),
            classes=tuple(one.class_name for one in shown),
            pictures=sheet,
        )

    def shown(self) -> tuple[Shown, ...]:
        pictures: Sequence[Pixels | None] = [None] * len(self.names)
        if self.pictures is not None:
            try:
                file = io.BytesIO(base64.b64decode(self.pictures, validate=True))
                with Image.open(file, formats=["PNG"]) as image:
                    form = ("RGB", image.width * len(self.names))
                    if not self.names or (image.mode, image.height) != form:
                        raise ValueError("the card's pictures have the wrong shape")
                    pictures = np.split(np.array(image), len(self.names))
            except (OSError, SyntaxError, binascii.Error, Image.DecompressionBombError) as error:
                raise ValueError(f"the card's pictures cannot be read: {error}") from error
        triples = zip(self.names, self.classes, pictures, strict=True)
        return tuple(Shown(name=n, class_name=c, picture=picture) for n, c, picture in triples)
