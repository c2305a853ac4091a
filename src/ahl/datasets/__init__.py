"""Folders become labelled samples, and samples become open-set splits."""

from ahl.datasets.folders import Dataset, Layout, open_dataset
from ahl.datasets.splits import Drawn, Setting, TrainingSplit, draw_split

__all__ = ["Dataset", "Drawn", "Layout", "Setting", "TrainingSplit", "draw_split", "open_dataset"]
