"""The parts that the routes of one process share."""

from __future__ import annotations

from collections.abc import Sequence

from ahl.apps.serve.admission import Admission
from ahl.apps.serve.metrics import Metrics
from ahl.apps.serve.settings import Settings
from ahl.apps.serve.worker import Worker
from ahl.pipeline.feedback.store import FeedbackStore
from ahl.scoring.scorer import Scorer


class Service:
    """One model's worker, bounds, counters, and feedback folder."""

    def __init__(self, scorers: Sequence[Scorer], settings: Settings) -> None:
        self.settings, self.limits = settings, settings.limits
        self.card = scorers[0].card
        folder = settings.feedback_dir
        self.feedback = (
            None if folder is None else FeedbackStore(folder, settings.max_feedback_bytes)
        )
        self.admission = Admission(self.limits)
        self.metrics = Metrics(
            self.card,
            waiting=lambda: self.admission.images,
            line=lambda: len(self.worker.line),
            batch=self.limits.batch,
        )
        self.worker = Worker(
            scorers,
            decoders=settings.decoders,
            batch=self.limits.batch,
            max_pixels=self.limits.pixels,
            on_batch=self.metrics.on_batch,
        )
