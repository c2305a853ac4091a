"""Observers that keep what they hear of a training run, in files or on servers."""

from ahl.logs.broadcast import Broadcast
from ahl.logs.jsonl import JsonLinesLog
from ahl.logs.mlflow import MLflowLog
from ahl.logs.tensorboard import TensorBoardLog

__all__ = ["Broadcast", "JsonLinesLog", "MLflowLog", "TensorBoardLog"]
