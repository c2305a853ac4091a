"""Feature maps with defects, a model of them, and images that it got wrong."""

from dataclasses import replace

import numpy as np
import torch

from ahl import AHL
from ahl.features.table import table_of_maps
from ahl.model.exemplars import Exemplar, Exemplars
from tiny import tiny_config

SEEN, UNSEEN, ODD = 0, 3, 4
"""Channels: of the defect that was shown, of another one, of good images that are unusual."""


def maps(count, seed, channel=None, height=6.0):
    random = np.random.default_rng(seed)
    full = random.normal(0, 1, (count, 6, 8, 8))
    if channel is not None:
        places = random.integers(1, 7, (count, 2))
        full[np.arange(count), channel, places[:, 0], places[:, 1]] += height
    return full, full.reshape(count, 6, 4, 2, 4, 2).mean(axis=(3, 5))


def trained(base):
    config = tiny_config(epochs=12, rounds=4, inner_steps=1, outer_rate=0.01)
    detector = AHL(heads=base, config=config, seed=1)
    return detector.fit_features(maps(40, 0), maps(6, 1, SEEN), pseudo=[maps(40, 2, 1)]).model_


def prepared(model, given):
    """Rows as the model's heads see them."""
    rows = table_of_maps(given).rows(np.arange(len(given[0])))
    seen = [model.preparation.maps(row.unsqueeze(0)) for row in rows.float()]
    return torch.cat([model.detector.layout.join(one) for one in seen])


def wrong(model, given, role):
    rows = prepared(model, given).half()
    images = tuple(
        Exemplar(role=role, name=f"new {i}", sha256=f"new {i}", class_name=role)
        for i in range(len(rows))
    )
    return Exemplars(images=images, rows=rows, pictures=torch.empty(0, 64, 64, 3).byte())


def renamed(kept, role):
    images = tuple(replace(one, role=role, sha256=f"{role} {one.sha256}") for one in kept.images)
    return replace(kept, images=images)
