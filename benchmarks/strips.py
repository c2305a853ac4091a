"""Strips of 4096 x 256 pixels made of AITEX's tiles, to compare tiles with whole images.

    python benchmarks/strips.py AITEX OUTPUT
    ahl benchmark run --dataset strips=OUTPUT --image-size 256x4096 --tiles 256 ...

AITEX: laid out as by `ahl datasets prepare aitex` (tiles of 256 x 256, masks in ground_truth/).
A strip is 16 tiles of one fabric. All its tiles are good ones drawn at random, so that borders of
tiles reveal nothing; the defective tiles of a photograph stand at their own places.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

TILES = 16
SIDE = 256
GOOD = re.compile(r".*_\d{4}_0+_(\d\d)_\d\d")
DEFECT = re.compile(r"(\d{4}_\d{3}_(\d\d))_(\d\d)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("aitex", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    pools: dict[str, dict[str, list[Path]]] = {}
    for part in ("train", "test"):
        pools[part] = defaultdict(list)
        for path in sorted((options.aitex / part / "good").iterdir()):
            found = GOOD.fullmatch(path.stem)
            if found is None:
                raise SystemExit(f"{path}: not named as AITEX's good tiles are")
            pools[part][found[1]].append(path)
    for part, fabrics in pools.items():
        for fabric, paths in sorted(fabrics.items()):
            shuffled = [paths[i] for i in random.permutation(len(paths))]
            for number in range(len(paths) // TILES):
                chosen = shuffled[number * TILES : (number + 1) * TILES]
                write(options.output / part / "good" / f"{fabric}_{number:03d}.png", chosen)
    photographs: dict[tuple[str, str, str], dict[int, Path]] = defaultdict(dict)
    for path in sorted((options.aitex / "test").glob("*/*")):
        found = DEFECT.fullmatch(path.stem)
        if path.parent.name != "good" and found is not None:
            photographs[path.parent.name, found[1], found[2]][int(found[3])] = path
    without = 0
    for (kind, name, fabric), defects in sorted(photographs.items()):
        good = pools["test"][fabric]
        if len(good) < TILES:
            without += 1
            continue
        tiles = [good[i] for i in random.permutation(len(good))[:TILES]]
        masks: list[Path | None] = [None] * TILES
        for place, path in defects.items():
            tiles[place] = path
            masks[place] = options.aitex / "ground_truth" / kind / f"{path.stem}_mask.png"
        write(options.output / "test" / kind / f"{name}.png", tiles)
        write(options.output / "ground_truth" / kind / f"{name}_mask.png", masks)
    if without:
        print(f"{without} photographs left out: fewer than {TILES} good test tiles of their fabric")


def write(path: Path, tiles: list[Path] | list[Path | None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    strip = Image.new("L", (TILES * SIDE, SIDE))
    for place, tile in enumerate(tiles):
        if tile is not None:
            strip.paste(Image.open(tile).convert("L"), (place * SIDE, 0))
    strip.save(path)


if __name__ == "__main__":
    main()
