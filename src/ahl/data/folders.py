"""Folders of images -> labelled samples, in either of two layouts.

- Inspection: `good/` beside one folder for each kind of anomaly.
- Benchmark (MVTec AD): `train/good/`, `test/good/` and `test/<kind>/`.

`good` may be written in any case. Images may lie in subfolders of a class. Hidden folders,
`ground_truth` (masks) and images outside the class folders are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ahl._common.errors import DataError
from ahl._common.types import GOOD, Sample
from ahl.data.images.finding import find_images

Layout = Literal["inspection", "benchmark"]

_MASKS = "ground_truth"
# What people call their folder of normal images, to hint at renaming it.
_OTHER_NAMES_OF_GOOD = frozenset(
    {"ok", "normal", "normals", "pass", "no", "negative", "clean", "goods", "defect_free"}
)
_LAYOUTS = (
    "Expected either good/ beside one folder for each kind of anomaly, "
    "or train/good/ with test/good/ and test/<kind>/"
)


def by_name(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """The samples, sorted by name."""
    return tuple(sorted(samples, key=lambda sample: sample.name))


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """All labelled images of one dataset, before any split; each tuple is sorted by name.

    Attributes:
        name: the root folder's name.
        root: the root folder.
        layout: `"benchmark"` where the dataset brings its own split of the normals.
        train_normals: normal images to train on; in the inspection layout all there are.
        test_normals: normal images to test on; empty in the inspection layout.
        anomalies: all labelled anomalies, possibly none.
        group_by: the regular expression that told the samples' parts by their names, if any.
    """

    name: str
    root: Path
    layout: Layout
    train_normals: tuple[Sample, ...]
    test_normals: tuple[Sample, ...]
    anomalies: tuple[Sample, ...]
    group_by: str | None = None

    def __post_init__(self) -> None:
        for field in ("train_normals", "test_normals", "anomalies"):
            object.__setattr__(self, field, by_name(getattr(self, field)))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the anomaly classes, sorted."""
        return tuple(sorted({sample.class_name for sample in self.anomalies}))


def open_dataset(root: Path) -> Dataset:
    """List a dataset's images, telling its layout by its folders.

    Args:
        root: the dataset's folder. A folder with a `train/good` is in the benchmark layout.

    Returns:
        The dataset; at least one normal image to train on, anomalies possibly none.

    Raises:
        DataError: if the folder is missing, fits no layout or holds no normal training image.
    """
    if not root.exists():
        raise DataError(f"There is no folder {root}; check the path.")
    if not root.is_dir():
        raise DataError(f"{root} is a file; name the folder that holds the dataset.")
    outer, train = _class_folders(root), _class_folders(root / "train")
    good = _good(train) or _good(outer)
    if not good:
        raise DataError(_explain(root, outer))
    own_split = bool(_good(train))
    normals, anomalies = _samples(root, train if own_split else outer)
    test_normals: list[Sample] = []
    if own_split:
        if anomalies:
            kinds = _listed({sample.class_name for sample in anomalies})
            raise DataError(
                f"{root / 'train'} holds anomalies ({kinds}) beside good/; move them to "
                f"{root / 'test'}, from where training draws its labelled anomalies."
            )
        test_normals, anomalies = _samples(root, _class_folders(root / "test"))
    if not normals:
        raise DataError(f"{good[0]} holds no image; put images of good parts there.")
    return Dataset(
        name=root.resolve().name,
        root=root,
        layout="benchmark" if own_split else "inspection",
        train_normals=tuple(normals),
        test_normals=tuple(test_normals),
        anomalies=tuple(anomalies),
    )


def refuse_labelled(paths: Iterable[str | Path]) -> None:
    """Refuse labelled folders where good images are wanted: their defects would count as good.

    Raises:
        DataError: if one of the paths is a dataset's folder.
    """
    for root in map(Path, paths):
        folders = _class_folders(root)
        good = _good(_class_folders(root / "train")) or (_good(folders) if len(folders) > 1 else [])
        if good:
            raise DataError(
                f"{root} holds {good[0].relative_to(root)}/ beside other folders, whose images "
                f"would count as good ones; give {good[0]}."
            )


def _samples(root: Path, folders: list[Path]) -> tuple[list[Sample], list[Sample]]:
    """Good and other samples of class folders."""
    good = _good(folders)
    samples = [
        Sample(
            path=path,
            name=path.relative_to(root).as_posix(),
            class_name=GOOD if folder in good else folder.name,
        )
        for folder in folders
        for path in find_images(folder, recursive=True)
    ]
    return [s for s in samples if not s.is_anomaly], [s for s in samples if s.is_anomaly]


def _class_folders(parent: Path) -> list[Path]:
    try:
        if not parent.is_dir():
            return []
        folders = [entry for entry in parent.iterdir() if entry.is_dir()]
    except OSError as error:
        raise DataError(f"Cannot list the folder {parent}: {error.strerror or error}.") from error
    return sorted(
        (entry for entry in folders if not entry.name.startswith(".") and entry.name != _MASKS),
        key=lambda entry: entry.name,
    )


def _good(folders: list[Path]) -> list[Path]:
    return [folder for folder in folders if folder.name.lower() == GOOD]


def _explain(root: Path, outer: list[Path]) -> str:
    """Say what was found instead of a dataset, and the likeliest way out."""
    if not outer:
        images = len(find_images(root, recursive=False))
        found = f"{images} image(s) but no folders" if images else "neither folders nor images"
        return f"{root} holds {found}. {_LAYOUTS}."
    for folder in outer:
        if folder.name in ("train", "test"):
            continue
        if _good(_class_folders(folder / "train")) or _good(_class_folders(folder)):
            return f"{root} is no dataset itself, but {folder} seems to be one; open that."
    named = [*outer, *_class_folders(root / "train")]
    hints = [folder for folder in named if folder.name.lower() in _OTHER_NAMES_OF_GOOD]
    hint = f" If {hints[0]} holds the normal images, rename it to {GOOD}." if hints else ""
    return f"{root} holds the folders {_listed(f.name for f in outer)}. {_LAYOUTS}.{hint}"


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:10]) + (f" and {len(ordered) - 10} more" if len(ordered) > 10 else "")
