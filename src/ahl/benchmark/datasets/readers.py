"""All benchmark readers, in the protocol's order."""

from __future__ import annotations

from typing import Final

from ahl._common.errors import ConfigurationError
from ahl.benchmark.datasets.aitex import AITEXReader
from ahl.benchmark.datasets.brainmri import BrainMRIReader
from ahl.benchmark.datasets.elpv import ELPVReader
from ahl.benchmark.datasets.headct import HeadCTReader
from ahl.benchmark.datasets.hyper_kvasir import HyperKvasirReader
from ahl.benchmark.datasets.mastcam import MastcamReader
from ahl.benchmark.datasets.mvtec import MVTecReader
from ahl.benchmark.datasets.optical import OpticalReader
from ahl.benchmark.datasets.reader import DatasetReader
from ahl.benchmark.datasets.sdd import SDDReader

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
