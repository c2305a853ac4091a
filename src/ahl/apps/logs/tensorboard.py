"""A training run as curves in TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ahl._common.callbacks import Callback
from ahl._common.errors import ConfigurationError
from ahl._common.history import EpochRecord
from ahl.apps.logs._curves import curve_points
from ahl.apps.logs._messages import not_installed


class TensorBoardLog(Callback):
    """Writes event files: losses and importance scores by epoch, and the facts as text.

    A run has a folder of its own; one that starts in a folder with another's curves replaces
    them.

    Args:
        folder: where the event files go; created when it is missing.

    Raises:
        ConfigurationError: if TensorBoard is not installed, or the folder is a file.
        OSError: if the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise not_installed("TensorBoard", "tensorboard") from None
        if folder.exists() and not folder.is_dir():
            raise ConfigurationError(f"{folder} is a file; TensorBoard's events need a folder.")
        folder.mkdir(parents=True, exist_ok=True)
        self._make: Any = SummaryWriter
        self._folder = folder
        self._writer: Any = None

    def on_start(self, facts: Mapping[str, Any]) -> None:
        """Begin an event file."""
        # TensorBoard drops what earlier files of the folder say of this step and later ones.
        self._writer = self._make(str(self._folder), purge_step=0)
        text = json.dumps(facts, indent=1)
        self._writer.add_text("run", "\n".join(f"    {line}" for line in text.splitlines()), 0)
        self._writer.flush()

    def on_resumed(self, history: Sequence[EpochRecord], epochs: int) -> None:
        """Write the epochs before, which this run's curves begin with."""
        for record in history:
            self.on_epoch(record, epochs)

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """Write the losses and importance scores."""
        if self._writer is None:
            return
        for name, value in curve_points(record).items():
            self._writer.add_scalar(name, value, record.epoch)
        self._writer.flush()

    def on_end(self, error: BaseException | None) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
