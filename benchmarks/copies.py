"""Similarity of copied photographs against that of different ones: the margin for finding copies.

Takes images spread over a prepared dataset and prints the most similar pairs among them, to be
looked at by eye: a dataset may hold copies of its own. Then copies some images in several ways, and
prints for each way the similarity of copy and original and the share found, for several margins.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ahl._common.callbacks import Callback
from ahl._common.spacing import evenly_spaced
from ahl.data.copies import linked
from ahl.data.images.finding import find_images
from ahl.data.images.reading import read_pixels
from ahl.data.likeness import alike
from ahl.data.pictures import picture_of

Change = Callable[[Image.Image], Image.Image]


def jpeg(quality: int) -> Change:
    """Save again as JPEG."""

    def change(image: Image.Image) -> Image.Image:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        return Image.open(stream).convert("RGB")

    return change


def brighter(factor: float) -> Change:
    """Multiply the brightness, clipped at 255."""
    return lambda image: image.point(lambda value: min(255, round(value * factor)))


def shifted(share: float) -> Change:
    """Cut a share of the width off the left and of the height off the top, as a camera moves."""

    def change(image: Image.Image) -> Image.Image:
        width, height = image.size
        return image.crop((round(share * width), round(share * height), width, height))

    return change


def cropped(share: float) -> Change:
    """Cut off a share of width and height, half on each side."""

    def change(image: Image.Image) -> Image.Image:
        width, height = image.size
        x, y = round(share * width / 2), round(share * height / 2)
        return image.crop((x, y, width - x, height - y))

    return change


def scaled(factor: float) -> Change:
    """Resize by a factor."""
    return lambda image: image.resize(
        (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    )


CHANGES: dict[str, Change] = {
    "JPEG, quality 95": jpeg(95),
    "JPEG, quality 50": jpeg(50),
    "half as bright": brighter(0.5),
    "20 % darker": brighter(0.8),
    "20 % brighter": brighter(1.2),
    "half the size": scaled(0.5),
    "shifted by 2 %": shifted(0.02),
    "shifted by 5 %": shifted(0.05),
    "cropped by 5 %": cropped(0.05),
    "cropped by 10 %": cropped(0.1),
}


MARGINS = (0.8, 0.9, 0.92, 0.94, 0.95, 0.96, 0.98)


def measured(paths: list[Path], changed: int) -> Iterator[str]:
    """Yield the lines to print for one dataset."""
    distinct: dict[bytes, Path] = {}
    for path in paths:  # equal images are copies without any measure
        distinct.setdefault(read_pixels(path).tobytes(), path)
    paths = list(distinct.values())
    thumbnails = np.stack([picture_of(path, read_pixels(path)).thumbnail for path in paths])
    started = time.process_time()
    pairs = list(alike(thumbnails, Callback()))
    seconds = time.process_time() - started
    yield f"{len(paths)} images compared in {seconds:.1f} s of one CPU"
    for margin in MARGINS:
        found = [pair[:2] for pair in pairs if pair[2] >= margin]
        sizes = np.bincount(linked(len(paths), found))
        yield (
            f"  from {margin}: {len(found)} pairs, {sizes[sizes > 1].sum()} images in "
            f"{(sizes > 1).sum()} groups, the largest of {sizes.max()}"
        )
    for one, other, like in sorted(pairs, key=lambda pair: -pair[2])[:40]:
        yield f"  {like:.4f} {paths[one].name} {paths[other].name}"
    chosen = evenly_spaced(len(paths), changed)
    for name, change in CHANGES.items():
        changed_images = [
            np.array(change(Image.fromarray(read_pixels(paths[i]))).convert("RGB")) for i in chosen
        ]
        made = np.stack([picture_of(name, image).thumbnail for image in changed_images])
        likeness = {
            (one, other): like
            for one, other, like in alike(np.concatenate([thumbnails, made]), Callback())
        }
        likes = np.array(
            [likeness.get((int(i), len(paths) + n), 0.0) for n, i in enumerate(chosen)]
        )
        shares = ", ".join(f"{np.mean(likes >= m):.2f} from {m}" for m in MARGINS)
        yield f"  {name}: lowest {likes.min():.3f}, median {np.median(likes):.3f}; {shares}"


def main() -> None:
    """Print the tables of the folders given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--changed", type=int, default=40)
    given = parser.parse_args()
    for folder in given.folders:
        paths = [p for p in find_images(folder, recursive=True) if "ground_truth" not in p.parts]
        chosen = [paths[i] for i in evenly_spaced(len(paths), given.images)]
        print(folder.name)
        for line in measured(chosen, given.changed):
            print(line, flush=True)


if __name__ == "__main__":
    main()
