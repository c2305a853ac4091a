"""Datasets: labelled samples from folders, tables and arrays, and their open-set splits."""

from ahl.data.folders import Dataset, Layout, open_dataset, refuse_labelled
from ahl.data.given import dataset_of_paths, dataset_of_table
from ahl.data.splits import Drawn, Setting, TrainingSplit, draw_every_class, draw_split

__all__ = [
    "Dataset",
    "Drawn",
    "Layout",
    "Setting",
    "TrainingSplit",
    "dataset_of_paths",
    "dataset_of_table",
    "draw_every_class",
    "draw_split",
    "open_dataset",
    "refuse_labelled",
]
