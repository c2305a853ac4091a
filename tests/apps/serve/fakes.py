"""A pass that scores an image by its brightness, when it is let."""

import io
import threading

import numpy as np
from PIL import Image

from ahl.model.card import ModelCard
from ahl.scoring.prediction import Nearest, Prediction

CARD = ModelCard(
    version="0",
    sha256="ab" * 32,
    base="dra",
    backbone="fake",
    image_size=(8, 8),
    heads=("holistic",),
    evidence=("holistic",),
    meanings={"holistic": "bright"},
    decision=None,
    probability=None,
    colour_bounds=(0.0, 1.0),
    classes=("dot",),
    normals=3,
    anomalies=1,
)


class FakeScorer:
    """Scores are mean grey values; `open` lets it score, `entered` counts the batches begun."""

    card, ready = CARD, True

    def __init__(self, *, is_open=True, fails=False):
        self.open, self.entered = threading.Event(), threading.Semaphore(0)
        self.batches, self.fails = [], fails
        if is_open:
            self.open.set()

    def mend(self):
        pass

    def close(self):
        self.open.set()

    def score_pixels(self, pixels, *, heat_maps=False, nearest=False):
        assert pixels.dtype == np.uint8
        assert pixels.shape[1:] == (8, 8, 3)
        self.batches.append((len(pixels), heat_maps, nearest))
        self.entered.release()
        assert self.open.wait(30)
        if self.fails:
            raise RuntimeError("a fault")
        near = Nearest(name="n", class_name="good", distance=1.0, picture=pixels[0])
        return [
            Prediction(
                index=index,
                score=float(image.mean()),
                heads={"holistic": 1.0},
                evidence={"holistic": float(image.mean())},
                probability=0.5,
                heat_map=np.full((8, 8), 2.0, dtype=np.float32) if heat_maps else None,
                nearest_normal=near if nearest else None,
            )
            for index, image in enumerate(pixels)
        ]


def png(grey=100, size=(8, 8)):
    """An image of one grey value, whose score is that value."""
    file = io.BytesIO()
    Image.new("RGB", size, (grey,) * 3).save(file, format="PNG")
    return file.getvalue()


def form(*images):
    """Images (name, bytes) as `files` of a form."""
    return [("images", (name, data, "image/png")) for name, data in images]
