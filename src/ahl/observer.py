"""What long work tells whoever watches: no-op hooks to override."""

from __future__ import annotations

from ahl.training import TrainingHooks
from ahl.types import Skipped


class Observer(TrainingHooks):
    """Hooks around a whole run; each does nothing unless overridden.

    `on_epoch` comes with `TrainingHooks`.
    """

    def on_stage(self, stage: str, done: int, total: int) -> None:
        """Part of a stage is done; called first with `done` 0, last with `done == total`."""

    def on_skipped(self, skipped: Skipped) -> None:
        """An input was left out."""

    def on_note(self, text: str) -> None:
        """Something worth a sentence happened."""
