"""Hyper-Kvasir: endoscopy of the upper gastrointestinal tract."""

from __future__ import annotations

from pathlib import Path
from typing import final

from ahl._common.callbacks import Callback
from ahl._common.types import GOOD
from ahl.benchmark.datasets.raw_folders import image_samples, subfolder, subfolders
from ahl.benchmark.datasets.reader import DatasetReader
from ahl.data.folders import Dataset

_TRACT = "upper-gi-tract"
_LANDMARKS, _FINDINGS = "anatomical-landmarks", "pathological-findings"


@final
class HyperKvasirReader(DatasetReader):
    """Anatomical landmarks are normal, all pooled; each pathological finding is a class."""

    name = "hyper-kvasir"
    title = "Hyper-Kvasir"
    expects = (
        "upper-gi-tract/anatomical-landmarks/<landmark>/ and "
        "upper-gi-tract/pathological-findings/<class>/ with images"
    )

    def recognises(self, folder: Path) -> bool:
        """Whether it is the upper tract, or holds it."""
        tract = subfolder(folder, _TRACT) or folder
        return bool(subfolder(tract, _LANDMARKS) and subfolder(tract, _FINDINGS))

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """All images of the upper tract."""
        tract = subfolder(root, _TRACT) or root
        landmarks, findings = subfolder(tract, _LANDMARKS), subfolder(tract, _FINDINGS)
        return (
            self.dataset(
                root,
                normals=image_samples(root, landmarks, GOOD) if landmarks else (),
                anomalies=(
                    sample
                    for folder in (subfolders(findings) if findings else [])
                    for sample in image_samples(root, folder, folder.name.lower())
                ),
            ),
        )
