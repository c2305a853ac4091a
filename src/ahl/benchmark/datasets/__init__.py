"""Readers of the public datasets."""

from ahl.benchmark.datasets.reader import DatasetReader
from ahl.benchmark.datasets.readers import READERS, find_reader

__all__ = ["READERS", "DatasetReader", "find_reader"]
