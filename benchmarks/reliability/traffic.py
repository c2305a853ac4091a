"""Requests of many kinds whose answers are known beforehand, and the check of an answer."""

from __future__ import annotations

import base64
import io
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import picture
from PIL import Image

from ahl.scoring.prediction import Prediction
from ahl.scoring.scorer import Scorer

TOLERANCE = 1e-4
"""Relative tolerance of scores: images in one batch are summed in another order."""

FORMATS: Mapping[str, Mapping[str, Any]] = {
    "jpeg": {"format": "JPEG", "quality": 90},
    "png": {"format": "PNG"},
    "webp": {"format": "WEBP"},
    "tiff": {"format": "TIFF"},
    "bmp": {"format": "BMP"},
    "gif": {"format": "GIF"},
}


@dataclass(frozen=True, eq=False)
class Known:
    """An image and the scorer's prediction for it; None if it cannot be read."""

    name: str
    data: bytes
    prediction: Prediction | None


@dataclass(frozen=True, eq=False)
class Ask:
    """One request.

    Attributes:
        kind: name of its kind in the figures.
        query: query string of its URL.
        head: headers that describe the body.
        body: pieces of the body, sent one by one.
        images: the images it holds.
        leaves: share of the body after which the client hangs up; None: it waits.
    """

    kind: str
    query: str
    head: str
    body: tuple[bytes, ...]
    images: tuple[Known, ...]
    leaves: float | None = None

    def text(self, number: str) -> bytes:
        """Request line and headers."""
        return (
            f"POST /v1/score?{self.query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"X-Request-ID: {number}\r\n{self.head}\r\n"
        ).encode()


def known_images(engine: Scorer, folder: Path, *, sides: Sequence[int]) -> list[Known]:
    """Pictures of all formats and sizes, scored beforehand one by one from their files."""
    paths = []
    for number, side in enumerate(sides):
        for name, options in FORMATS.items():
            path = folder / f"{side}-{number}.{name}"
            Image.fromarray(picture(side, number, defect=number % 2 == 0)).save(path, **options)
            paths.append(path)
    known = []
    for path in paths:
        (prediction,) = engine.predict([path], heat_maps=True, nearest=True)
        known.append(Known(path.name, path.read_bytes(), prediction))
    whole = known[0].data
    bad = (b"no image at all", whole[: len(whole) // 2], whole[:3], b"\x89PNG\r\n\x1a\n" * 9)
    return known + [Known(f"bad{n}.png", data, None) for n, data in enumerate(bad)]


def asks(known: Sequence[Known], *, seed: int) -> Iterator[Ask]:
    """Yield random requests endlessly; a seed gives the same ones."""
    draw = random.Random(seed)
    good = [one for one in known if one.prediction is not None]
    bad = [one for one in known if one.prediction is None]
    small = [one for one in good if len(one.data) < 100_000]
    kinds = {
        "single": 40,
        "heat map": 6,
        "raw heat map": 4,
        "why": 8,
        "everything": 2,
        "chunked": 4,
        "form of 4": 8,
        "form of 12": 2,
        "form with a bad image": 3,
        "bad image": 4,
        "leaves half-way": 3,
        "leaves when all is sent": 3,
    }
    while True:
        kind = draw.choices([*kinds], [*kinds.values()])[0]
        if kind.startswith("form"):
            images = draw.choices(small, k=12 if "12" in kind else 4)
            if "bad" in kind:
                images.insert(draw.randrange(4), draw.choice(bad))
            yield _form(kind, images)
            continue
        one = draw.choice(bad if kind == "bad image" else good)
        query = {
            "heat map": "heat_map=1",
            "raw heat map": "heat_map=raw",
            "why": "why=1",
            "everything": "why=1&pictures=1&heat_map=overlay",
        }.get(kind, "")
        leaves = {"leaves half-way": 0.5, "leaves when all is sent": 1.0}.get(kind)
        head = f"Content-Type: image/png\r\nContent-Length: {len(one.data)}\r\n"
        body = (one.data,)
        if kind == "chunked":
            head = "Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n"
            cut = max(1, len(one.data) // 2)
            pieces = (one.data[:cut], one.data[cut:])
            body = (*(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces if p), b"0\r\n\r\n")
        yield Ask(kind, f"{query}&name={one.name}", head, body, (one,), leaves)


def _form(kind: str, images: Sequence[Known]) -> Ask:
    parts = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="images"; filename="%b"\r\n\r\n%b\r\n'
        % (one.name.encode(), one.data)
        for one in images
    )
    body = parts + b"--x--\r\n"
    head = f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n"
    return Ask(kind, "", head, (body,), tuple(images))


class Judge:
    """Compares answers with the known predictions."""

    def __init__(self) -> None:
        self.largest = 0.0
        self.scores = 0

    def faults(self, ask: Ask, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
        """Faults of one answer."""
        if status == 429:
            again = headers.get("retry-after", "")
            return [] if again.isdecimal() and int(again) > 0 else ["429 without Retry-After"]
        readable = any(one.prediction is not None for one in ask.images)
        if status != (200 if readable else 422):
            return [f"{ask.kind}: status {status}: {body[:200]!r}"]
        told = json.loads(body)["images"]
        if [one["name"] for one in told] != [one.name for one in ask.images]:
            return [f"{ask.kind}: answers of other images"]
        found = []
        for image, answer in zip(ask.images, told, strict=True):
            found += [f"{ask.kind}, {image.name}: {one}" for one in self._image(ask, image, answer)]
        return found

    def _image(self, ask: Ask, image: Known, told: Mapping[str, Any]) -> Iterator[str]:
        expected = image.prediction
        if expected is None:
            if "error" not in told or "score" in told:
                yield "a score of an image that is none"
            return
        self.scores += 1
        pairs = [("score", told.get("score"), expected.score)]
        pairs.append(("probability", told.get("probability"), expected.probability))
        for group in ("heads", "evidence"):
            own = getattr(expected, group)
            pairs += [(name, told[group].get(name), value) for name, value in own.items()]
        for name, value, right in pairs:
            if (value is None) != (right is None):
                yield f"{name} is {value}, not {right}"
            elif value is not None and right is not None:
                off = abs(value - right) / max(1.0, abs(right))
                self.largest = max(self.largest, off)
                if not off <= TOLERANCE or not math.isfinite(value):
                    yield f"{name} is {value}, not {right}"
        if told.get("verdict") != expected.verdict:
            yield f"verdict {told.get('verdict')}, not {expected.verdict}"
        yield from self._besides(ask, told, expected)

    def _besides(self, ask: Ask, told: Mapping[str, Any], expected: Prediction) -> Iterator[str]:
        if ("why" in told) != ("why=1" in ask.query):
            yield "why, unasked, or not where asked"
        if "why=1" in ask.query and expected.nearest_normal is not None:
            near = told["nearest_normal"]["name"]
            if near != expected.nearest_normal.name:
                yield f"like {near}, not {expected.nearest_normal.name}"
        if ("heat_map" in told) != ("heat_map=" in ask.query):
            yield "a heat map, unasked, or none where asked"
        elif "heat_map=raw" in ask.query:
            shown = told["heat_map"]
            values = np.frombuffer(base64.b64decode(shown["data"]), "<f4").reshape(shown["shape"])
            right = np.asarray(expected.heat_map)
            off = float(np.abs(values - right).max() / max(1.0, float(np.abs(right).max())))
            self.largest = max(self.largest, off)
            if not off <= TOLERANCE:
                yield f"a heat map that is off by {off}"
        elif "heat_map=" in ask.query:
            data = base64.b64decode(told["heat_map"].removeprefix("data:image/png;base64,"))
            Image.open(io.BytesIO(data)).verify()
