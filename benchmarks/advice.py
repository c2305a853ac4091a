"""Planted mistakes that `ahl advise` finds, and its false accusations.

Copies a prepared dataset (benchmark layout), plants three good images among the defects, three
defects among the good images, and copies of five photographs, saved again as JPEG of quality 60:
two within good, one within the defects, and one each from good to defects and back, whose labels
are wrong too. Then asks for advice. Anything else that is called mislabelled or a copy counts as
false; copies that the untouched dataset holds already do not.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from ahl._common.callbacks import Callback
from ahl._common.text import literal
from ahl.apps.advise import Advice, advise
from ahl.config import DEFAULT_BACKBONE
from ahl.data import open_dataset
from ahl.data.copies import find_copies
from ahl.data.pictures import look_at


def plant(source: Path, root: Path, seed: int) -> tuple[set[str], set[frozenset[str]]]:
    """Copy the dataset and plant mistakes; return wrongly labelled names and pairs of copies."""
    shutil.copytree(source, root)
    good, defect = root / "train" / "good", min((root / "test").glob("[!g]*"))
    random = np.random.default_rng(seed)
    goods, defects = (
        [files[i] for i in random.permutation(len(files))]
        for files in (sorted(good.iterdir()), sorted(defect.iterdir()))
    )
    wrong, copies = set(), set()
    for paths, target in ((goods[:3], defect), (defects[:3], good)):
        for path in paths:
            moved = path.rename(target / f"x_{path.name}")
            wrong.add(moved.relative_to(root).as_posix())
    for path, target, how in (
        (goods[3], good, "as it is"),
        (goods[4], good, "smaller"),
        (defects[3], defect, "brighter"),
        (goods[5], defect, "shifted"),
        (defects[4], good, "as it is"),
    ):
        image = Image.open(path).convert("RGB")
        width, height = image.size
        if how == "smaller":
            image = image.resize((width * 4 // 5, height * 4 // 5))
        elif how == "brighter":
            image = image.point(lambda value: min(255, int(value * 1.08 + 5)))
        elif how == "shifted":
            image = image.crop((int(0.015 * width), int(0.01 * height), width, height))
        saved = target / f"c_{path.stem}.jpg"
        image.save(saved, "JPEG", quality=60)
        names = [one.relative_to(root).as_posix() for one in (path, saved)]
        copies.add(frozenset(names))
        if target != path.parent:
            wrong.add(names[1])
    return wrong, copies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--backbone-arg", action="append", default=[])
    options = parser.parse_args()
    arguments = dict(text.split("=", 1) for text in options.backbone_arg)

    def ask(root: Path) -> Advice:
        return advise(
            root,
            backbone=options.backbone,
            weights=options.weights,
            backbone_arguments={key: literal(value) for key, value in arguments.items()},
        )

    def pairs(advice: Advice) -> set[frozenset[str]]:
        return {frozenset((copy.one, copy.other)) for copy in advice.copies}

    dataset = open_dataset(options.data)
    samples = [*dataset.train_normals, *dataset.test_normals, *dataset.anomalies]
    untouched = find_copies(look_at(samples, Callback())[0], Callback())
    real = {frozenset((Path(c.one).name, Path(c.other).name)) for c in untouched.copies}
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            wrong, copies = plant(options.data, Path(folder) / options.data.name, seed)
            started = time.monotonic()
            advice = ask(Path(folder) / options.data.name)
        listed = [suspect.name for suspect in advice.suspects]
        surely = [suspect.name for suspect in advice.suspects if suspect.looks_wrong]
        found = pairs(advice)
        planted = {name for pair in copies for name in pair}
        false = {
            pair
            for pair in found - copies
            if not pair & planted
            and frozenset(Path(name).name.removeprefix("x_") for name in pair) not in real
        }
        told_otherwise = {
            copy.other if copy.other in wrong else copy.one
            for copy in advice.copies
            if copy.where == "good and defect"
        }
        print(
            json.dumps(
                {
                    "data": options.data.name,
                    "seed": seed,
                    "wrong_labels": len(wrong),
                    "listed": len(listed),
                    "listed_wrong": len(wrong & set(listed)),
                    "looks_wrong": len(surely),
                    "looks_wrong_wrong": len(wrong & set(surely)),
                    "named_as_suspect_or_contradiction": len(
                        wrong & (set(listed) | told_otherwise)
                    ),
                    "copies": len(copies),
                    "copies_found": len(copies & found),
                    "false_copies": len(false),
                    "accused": sorted(set(listed) - wrong),
                    "seconds": round(time.monotonic() - started),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
