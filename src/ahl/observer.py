"""What long work tells whoever watches: no-op hooks to override."""

from __future__ import annotations

from ahl.records import EpochRecord
from ahl.types import Skipped


class Observer:
    """Hooks around a whole run; each does nothing unless overridden."""

    def on_stage(self, stage: str, done: int, total: int) -> None:
        """Part of a stage is done; called first with `done` 0, last with `done == total`."""

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """An epoch of `epochs` is done; not told again for those of a run that is resumed."""

    def on_skipped(self, skipped: Skipped) -> None:
        """An input was left out."""

    def on_note(self, text: str) -> None:
        """Something worth a sentence happened."""
