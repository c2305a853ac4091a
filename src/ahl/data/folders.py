"""Labelled samples from folders of images, in either of two layouts.

- Inspection: `good/` beside one folder for each kind of anomaly.
- Benchmark (MVTec AD): `train/good/`, `test/good/` and `test/<kind>/`.

`good` may be written in any case. Images may lie in subfolders of a class. Masks are separated from
photographs (`ahl.data.images.mask_files`), wherever they lie. The dataset's notes count all other
files that are left out.
"""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ahl._common.errors import DataError
from ahl._common.files import is_output
from ahl._common.text import counted, listed
from ahl._common.types import GOOD, Sample
from ahl.data.images.finding import find_photographs, is_system
from ahl.data.images.found import Found, places
from ahl.data.images.pairing import is_ground_truth
from ahl.data.parts import Parts

Layout = Literal["inspection", "benchmark"]

# What people call their normal images, to hint at renaming their folder.
_NAMES_OF_GOOD = frozenset(
    {
        *("good", "goods", "good_parts", "ok", "okay", "io", "gut", "pass", "passed", "clean"),
        *("normal", "normals", "typical", "no", "negative", "negatives", "intact", "healthy"),
        *("free", "defect_free", "defectfree", "no_defect", "no_defects", "non_defective"),
        *("without_defect", "undamaged", "mt_free"),
    }
)
_NAMES_OF_DEFECTS = frozenset(
    {"defect", "defects", "defective", "anomaly", "anomalies", "abnormal", "bad", "ng", "test"}
)
_LAYOUTS = (
    "Expected either good/ beside one folder for each kind of anomaly, "
    "or train/good/ with test/good/ and test/<kind>/"
)


_SHOWN = 10  # of many kinds of defects, in a message


def by_name(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """The samples, sorted by name."""
    return tuple(sorted(samples, key=lambda sample: sample.name))


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """All labelled images of one dataset, before any split; each tuple is sorted by name.

    Attributes:
        name: the root folder's name.
        root: the root folder.
        layout: `"benchmark"` if the dataset brings its own split of the normals, else
            `"inspection"`.
        train_normals: normal images to train on; in the inspection layout all normal images.
        test_normals: normal images to test on; empty in the inspection layout.
        anomalies: all labelled anomalies, possibly none.
        group_by: regular expression that read the samples' parts from their names, if any.
        notes: sentences on files left out and on guesses, for people.
        found: parts and copies of all images, if already searched for; training then uses them.
    """

    name: str
    root: Path
    layout: Layout
    train_normals: tuple[Sample, ...]
    test_normals: tuple[Sample, ...]
    anomalies: tuple[Sample, ...]
    group_by: str | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)
    found: Parts[Sample] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for samples in ("train_normals", "test_normals", "anomalies"):
            object.__setattr__(self, samples, by_name(getattr(self, samples)))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the anomaly classes, sorted."""
        return tuple(sorted({sample.class_name for sample in self.anomalies}))


def open_dataset(root: Path) -> Dataset:
    """List a dataset's images; the layout is recognised from its folders.

    Args:
        root: the dataset's folder. A folder with `train/good` is in the benchmark layout.

    Returns:
        The dataset, with at least one normal image to train on, and possibly without anomalies.

    Raises:
        DataError: if the folder is missing, fits no layout or holds no normal training image.

    Examples:
        >>> from pathlib import Path
        >>> from ahl import open_dataset
        >>> dataset = open_dataset(Path("parts"))
        >>> sorted({sample.class_name for sample in dataset.anomalies})
        ['hole', 'scratch']
    """
    if not root.exists():
        raise DataError(f"There is no folder {root}; check the path.")
    if not root.is_dir():
        raise DataError(f"{root} is a file; name the folder that holds the dataset.")
    found = find_photographs(root)
    outer, train = _class_folders(root), _class_folders(root / "train")
    good = _good(train) or _good(outer)
    if not good:
        raise DataError(_explain(root, outer, found))
    own_split = bool(_good(train))
    notes = found.notes(root)
    normals, anomalies = _samples(root, train if own_split else outer, found)
    test_normals: list[Sample] = []
    if own_split:
        if anomalies:
            kinds = listed(sorted({sample.class_name for sample in anomalies}))
            raise DataError(
                f"{root / 'train'} holds anomalies ({kinds}) beside good/; move them to "
                f"{root / 'test'}, from where training draws its labelled anomalies."
            )
        test_normals, anomalies = _samples(root, _class_folders(root / "test"), found)
    if not normals:
        raise DataError(
            " ".join([f"{good[0]} holds no image; put images of good parts there.", *notes])
        )
    used = {sample.path for sample in (*normals, *test_normals, *anomalies)}
    outside = [path for path in found.images if path not in used]
    if outside:
        notes.append(
            f"{counted(len(outside), 'image', 'are')} left out, outside the folders of classes: "
            f"{places(outside, root)}. Defects belong into "
            f"{'test/<kind>/' if own_split else '<kind>/'}. {_way_out(root, good[0], outside)}"
        )
    return Dataset(
        name=root.resolve().name,
        root=root,
        layout="benchmark" if own_split else "inspection",
        train_normals=tuple(normals),
        test_normals=tuple(test_normals),
        anomalies=tuple(anomalies),
        notes=tuple(notes),
    )


def means_good(name: str) -> bool:
    """True for a usual name of a folder of good images: `good`, `OK`, `Defect-Free`."""
    return _plain(name) in _NAMES_OF_GOOD


def refuse_labelled(paths: Iterable[str | Path]) -> None:
    """Refuse labelled folders where only good images are expected.

    Raises:
        DataError: if one of the paths is a dataset's folder.
    """
    for root in map(Path, paths):
        good = _good(_class_folders(root / "train")) or _good(_class_folders(root))
        images = find_photographs(root).images if good else ()
        if any(path.parent != root and good[0] not in path.parents for path in images):
            raise DataError(
                f"{root} holds {good[0].relative_to(root)}/ beside other folders, whose images "
                f"would count as good ones; give {good[0]}."
            )


def _samples(
    root: Path, folders: Sequence[Path], found: Found
) -> tuple[list[Sample], list[Sample]]:
    """Good and anomalous samples of class folders at one depth."""
    depth = len(folders[0].relative_to(root).parts) if folders else 0
    images: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in found.images:
        parts = path.relative_to(root).parts
        if len(parts) > depth:
            images[root.joinpath(*parts[:depth])].append(path)
    good = _good(folders)
    samples = [
        Sample(
            path=path,
            name=path.relative_to(root).as_posix(),
            class_name=GOOD if folder in good else folder.name,
            masks=found.masks_of.get(path, ()),
        )
        for folder in folders
        for path in images[folder]
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
        (
            entry
            for entry in folders
            if not (is_system(entry.name) or is_ground_truth(entry.name) or is_output(entry))
        ),
        key=lambda entry: entry.name,
    )


def _good(folders: Iterable[Path]) -> list[Path]:
    return [folder for folder in folders if folder.name.lower() == GOOD]


def _explain(root: Path, outer: list[Path], found: Found) -> str:
    """Explain what was found instead of a dataset, and suggest a way out."""
    tables = [path for path in found.others if path.suffix.lower() in (".csv", ".tsv")]
    table = "".join(f" If {one} labels them, give --table {_quoted(one)}." for one in tables[:1])
    if not outer:
        held, way = "neither folders nor images", table
        if found.images:
            held = f"{counted(len(found.images), 'image')} but no folders"
            way = table or f" {_way_out(root, root, ())}"
        return " ".join([f"{root} holds {held}. {_LAYOUTS}.{way}", *found.notes()])
    for folder in outer:
        if folder.name in ("train", "test"):
            continue
        if _good(_class_folders(folder / "train")) or _good(_class_folders(folder)):
            return f"{root} is not a dataset, but {folder} seems to be one; give that folder."
    masked = {parent for path in found.masks for parent in path.parents}
    masked -= {parent for path in found.images for parent in path.parents}
    outer = [folder for folder in outer if folder not in masked]
    named = [*outer, *_class_folders(root / "train")]
    hints = [folder for folder in named if means_good(folder.name)]
    hint = ""
    if hints:
        others = [path for path in found.images if hints[0] not in path.parents]
        hint = f" If {hints[0]} holds the normal images, rename it to {GOOD}. "
        hint += _way_out(root, hints[0], others)
    noun = "folder" if len(outer) == 1 else "folders"
    names = listed([folder.name for folder in outer])
    return f"{root} holds the {noun} {names}. {_LAYOUTS}.{hint or table}"


def _way_out(root: Path, good: Path, others: Iterable[Path]) -> str:
    """Options that name the folder of good images and those of defects."""
    kinds: dict[str, Path] = {}
    for path in others:
        parts = path.relative_to(root).parts[:-1]
        if parts and not means_good(parts[-1]):
            # The kinds of a folder such as defects/ are those within.
            depth = 2 if _plain(parts[0]) in _NAMES_OF_DEFECTS and len(parts) > 1 else 1
            kinds.setdefault(parts[depth - 1], root.joinpath(*parts[:depth]))
    defects = [_quoted(f"{kind}={folder}") for kind, folder in sorted(kinds.items())[:_SHOWN]]
    words = [f"--defect {one}" for one in defects] or ["--defect KIND=FOLDER"]
    return f"Or give --good {_quoted(good)} {' '.join(words)}."


def _plain(name: str) -> str:
    """A name in a plain form: `Defect-Free` becomes `defect_free`."""
    return re.sub(r"[ _.-]+", "_", name.casefold())


def _quoted(path: object) -> str:
    return shlex.quote(str(path))
