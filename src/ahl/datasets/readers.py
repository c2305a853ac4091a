"""All benchmark readers, in the protocol's order."""

from __future__ import annotations

from typing import Final

from ahl.datasets.aitex import AITEXReader
from ahl.datasets.brainmri import BrainMRIReader
from ahl.datasets.elpv import ELPVReader
from ahl.datasets.headct import HeadCTReader
from ahl.datasets.hyper_kvasir import HyperKvasirReader
from ahl.datasets.mastcam import MastcamReader
from ahl.datasets.mvtec import MVTecReader
from ahl.datasets.optical import OpticalReader
from ahl.datasets.reader import DatasetReader
from ahl.datasets.sdd import SDDReader
from ahl.errors import ConfigurationError

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


def find_reader(name: str) -> DatasetReader:
    """The reader of this name, in any letter case.

    Raises:
        ConfigurationError: if there is none.
    """
    for reader in READERS:
        if reader.name == name.lower():
            return reader
    names = ", ".join(reader.name for reader in READERS)
    raise ConfigurationError(f"There is no benchmark dataset {name!r}; choose one of {names}.")
