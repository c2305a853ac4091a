"""Tiny made-up raw folders of the benchmark datasets: file contents by path."""

import io
import random
from pathlib import Path

import numpy as np
from PIL import Image

from ahl._common.callbacks import Callback
from ahl._common.types import Skipped

TILE = 256


class Listener(Callback):
    """Keeps what is reported as left out."""

    def __init__(self):
        self.skipped: list[Skipped] = []

    def on_skipped(self, skipped):
        self.skipped.append(skipped)


def encoded(pixels, suffix=".png"):
    stream = io.BytesIO()
    formats = {".png": "PNG", ".jpg": "JPEG", ".bmp": "BMP"}
    Image.fromarray(pixels).save(stream, format=formats[suffix.lower()])
    return stream.getvalue()


def picture(number, width=8, height=8, suffix=".png"):
    random_ = np.random.default_rng(number)
    return encoded(random_.integers(0, 256, (height, width), dtype=np.uint8), suffix)


def mask(width, height, *marks, suffix=".png"):
    """Black but for the pixels (column, row)."""
    pixels = np.zeros((height, width), dtype=np.uint8)
    for column, row in marks:
        pixels[row, column] = 255
    return encoded(pixels, suffix)


def array(number, channels=6, dtype=np.uint8):
    random_ = np.random.default_rng(number)
    stream = io.BytesIO()
    np.save(stream, random_.integers(0, 256, (8, 9, channels)).astype(dtype))
    return stream.getvalue()


def pictures(*names):
    return {
        name: picture(sum(name.encode()) + 7919 * i, suffix=Path(name).suffix)
        for i, name in enumerate(names)
    }


def mvtec():
    return pictures(
        *(f"{c}/train/good/{i:03}.png" for c in ("carpet", "bottle") for i in range(3)),
        *(f"{c}/test/good/{i:03}.png" for c in ("carpet", "bottle") for i in range(2)),
        *(f"carpet/test/{k}/{i:03}.png" for k in ("cut", "hole") for i in range(2)),
        "bottle/test/broken_large/000.png",
        "bottle/test/broken_large/001.png",
        "carpet/ground_truth/cut/000_mask.png",
    )


def aitex():
    width = 3 * TILE + 40
    strips = {
        f"NODefect_images/{fabric}/000{i}_000_0{i}.png": picture(int(fabric[:7]) + i, width)
        for fabric in ("2306881-210020u", "2306883-2520017u")
        for i in range(2)
    }
    return strips | {
        "Defect_images/0001_002_00.png": picture(1, width),
        "Defect_images/0002_036_01.png": picture(2, width),
        "Mask_images/0001_002_00_mask.png": mask(width, 8, (0, 0), (2 * TILE, 7)),
        "Mask_images/0002_036_01_mask.png": mask(width, 8, (2 * TILE - 1, 3)),
    }


def sdd():
    tree = {}
    for item in range(1, 4):
        for part in range(2):
            stem = f"kos{item:02}/Part{part}"
            marks = [(2, 10)] if (item, part) in ((1, 1), (3, 0)) else []
            tree[f"{stem}.jpg"] = picture(10 * item + part, 6, 20, ".jpg")
            tree[f"{stem}_label.bmp"] = mask(6, 20, *marks, suffix=".bmp")
    return tree


def elpv():
    rows = [("0.0", "mono"), ("1.0", "poly"), ("0.3333333333333333", "mono"), ("1.0", "mono")]
    rows += [("0.0", "poly"), ("0.6666666666666666", "poly"), ("0.0", "mono"), ("1.0", "poly")]
    names = [f"images/cell{i:04}.png" for i in range(1, 9)]
    table = "".join(f"{n}  {p:<20}{t}\n" for n, (p, t) in zip(names, rows, strict=True))
    return {**pictures(*names), "labels.csv": table.encode()}


def optical():
    tree = {}
    for texture in (1, 2, 10):
        for part, first in (("Train", 1), ("Test", 5)):
            folder = f"Class{texture}/{part}"
            lines = ["1"]
            for number in range(first, first + 3):
                name = f"{number:04}.PNG"
                tree[f"{folder}/{name}"] = picture(100 * texture + number, suffix=".png")
                marked = f"{number:04}_label.PNG" if number == first else "0"
                lines.append(f"{number}\t{int(number == first)}\t{name}\t0\t{marked}")
            tree[f"{folder}/Label/{first:04}_label.PNG"] = mask(8, 8, (1, 1))
            tree[f"{folder}/Label/Labels.txt"] = "\r\n".join(lines).encode()
    return tree


def mastcam():
    names = [f"train_typical/sol{i}.npy" for i in range(4)]
    names += [f"test_typical/sol{i}.npy" for i in range(2)]
    names += [f"test_novel/{c}/sol{i}.npy" for c in ("bedrock", "drill-hole") for i in range(2)]
    return {name: array(i) for i, name in enumerate(names)}


def brainmri():
    return pictures("no/1 no.png", "no/N5.jpg", "no/no 3.jpg", "yes/Y1.jpg", "yes/Y10.png")


def headct():
    names = [f"head_ct/head_ct/{i:03}.png" for i in range(6)]
    table = "id, hemorrhage\n" + "".join(f"{i},{int(i < 3)}\n" for i in range(6))
    return {**pictures(*names), "labels.csv": table.encode()}


def hyper_kvasir():
    tract = "upper-gi-tract"
    landmarks = [f"{tract}/anatomical-landmarks/{n}/a.jpg" for n in ("pylorus", "z-line")]
    landmarks += [f"{tract}/anatomical-landmarks/retroflex-stomach/b.jpg"]
    findings = [
        f"{tract}/pathological-findings/{name}/{i}.jpg"
        for name in ("barretts", "esophagitis-b-d")
        for i in range(2)
    ]
    return pictures(*landmarks, *findings, "lower-gi-tract/anatomical-landmarks/cecum/c.jpg")


TREES = {
    "mvtec": mvtec,
    "aitex": aitex,
    "sdd": sdd,
    "elpv": elpv,
    "optical": optical,
    "mastcam": mastcam,
    "brainmri": brainmri,
    "headct": headct,
    "hyper-kvasir": hyper_kvasir,
}


def plant(root, tree, seed=0):
    """Write the files in an order that the seed decides."""
    for name in random.Random(seed).sample(sorted(tree), len(tree)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tree[name])
    return root


def names(samples):
    return [sample.name for sample in samples]
