"""Updates made up of scores, to be held to what was known."""

import torch

from ahl.model.exemplars import Exemplar, Exemplars
from ahl.pipeline.update_result import Update


def judged(model, before, after, limits=(1.0, 1.0), allowed=0.0):
    """Two normals, two anomalies, then a corrected anomaly."""
    roles = ["normal", "threshold", "anomaly", "anomaly", "anomaly"]
    images = tuple(Exemplar(role=r, name="", sha256="", class_name="") for r in roles)
    known = Exemplars(images=images, rows=torch.empty(5, 1).half(), pictures=torch.empty(0))
    return Update(
        model=model,
        known=known,
        corrected=1,
        before=torch.tensor(before),
        after=torch.tensor(after),
        limit_before=limits[0],
        limit_after=limits[1],
        allowed=allowed,
        had_threshold=False,
    )
