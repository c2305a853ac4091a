"""Readers of the public datasets."""

from typing import Final

from ahl._common.errors import ConfigurationError
from ahl.benchmark.datasets.by_folder import (
    BrainMRIReader,
    HyperKvasirReader,
    MastcamReader,
    MVTecReader,
)
from ahl.benchmark.datasets.by_mask import AITEXReader, SDDReader
from ahl.benchmark.datasets.by_table import ELPVReader, HeadCTReader, OpticalReader
from ahl.benchmark.datasets.reader import DatasetReader

__all__ = ["READERS", "DatasetReader", "find_reader"]

READERS: Final[tuple[DatasetReader, ...]] = (
    MVTecReader(),
    AITEXReader(),
    SDDReader(),
    ELPVReader(),
    OpticalReader(),
    MastcamReader(),
    BrainMRIReader(),
    HeadCTReader(),
    HyperKvasirReader(),
)
"""All readers, in the protocol's order."""


def find_reader(name: str) -> DatasetReader:
    """The reader of this name, in any letter case.

    Raises:
        ConfigurationError: if no reader has this name.

    Examples:
        >>> from ahl import find_reader
        >>> find_reader("HeadCT").name
        'headct'
    """
    for reader in READERS:
        if reader.name == name.lower():
            return reader
    names = ", ".join(reader.name for reader in READERS)
    raise ConfigurationError(f"Unknown dataset {name!r}; expected one of {names}.")
