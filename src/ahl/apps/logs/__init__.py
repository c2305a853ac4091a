"""Callbacks that write a training run into files or to servers."""

from ahl.apps.logs.jsonl import JsonLinesLog
from ahl.apps.logs.trackers import MLflowLog, TensorBoardLog

__all__ = ["JsonLinesLog", "MLflowLog", "TensorBoardLog"]
