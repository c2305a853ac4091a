"""ELPV from its package as an inspection folder: `python benchmarks/elpv.py DIR`.

Needs `pip install elpv-dataset`. The images are for evaluation only (CC BY-NC-SA).
"""

from __future__ import annotations

import sys
from pathlib import Path


def elpv_as_folders(root: Path) -> Path:
    """Write good/, mono/ and poly/; cells that the experts were unsure of are left out."""
    from elpv_dataset.utils import load_dataset
    from PIL import Image

    images, probabilities, types = load_dataset()
    for i, (image, probability, kind) in enumerate(zip(images, probabilities, types, strict=True)):
        if probability in (0.0, 1.0):
            folder = root / ("good" if probability == 0.0 else str(kind))
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"cell{i + 1:04d}.png")
    return root


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(elpv_as_folders(Path(sys.argv[1])))
