"""Folders become labelled samples, and samples become open-set splits."""

from ahl.datasets.folders import Dataset, Layout, open_dataset, refuse_labelled
from ahl.datasets.reader import DatasetReader
from ahl.datasets.readers import READERS, find_reader
from ahl.datasets.splits import Drawn, Setting, TrainingSplit, draw_every_class, draw_split

__all__ = [
    "READERS",
    "Dataset",
    "DatasetReader",
    "Drawn",
    "Layout",
    "Setting",
    "TrainingSplit",
    "draw_every_class",
    "draw_split",
    "find_reader",
    "open_dataset",
    "refuse_labelled",
]
