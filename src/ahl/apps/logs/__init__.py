"""Callbacks that keep what they hear of a training run, in files or on servers."""

from ahl.apps.logs.broadcast import Broadcast
from ahl.apps.logs.jsonl import JsonLinesLog
from ahl.apps.logs.mlflow import MLflowLog
from ahl.apps.logs.tensorboard import TensorBoardLog

__all__ = ["Broadcast", "JsonLinesLog", "MLflowLog", "TensorBoardLog"]
