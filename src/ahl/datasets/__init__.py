"""Folders become labelled samples, and samples become open-set splits."""

from ahl.datasets.folders import Dataset, Layout, open_dataset
from ahl.datasets.splits import Setting, TrainingSplit, draw_split

__all__ = ["Dataset", "Layout", "Setting", "TrainingSplit", "draw_split", "open_dataset"]
