"""A benchmark's raw folder -> the layout of MVTec AD, which other tools read."""

from __future__ import annotations

import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ahl._common.callbacks import Callback
from ahl._common.errors import ConfigurationError, DataError, ImageError
from ahl._common.types import Sample, Skipped
from ahl.benchmark.datasets.reader import DatasetReader
from ahl.data.folders import Dataset
from ahl.data.images.reading import ARRAY_SUFFIX, read_pixels
from ahl.data.splits import split_normals

_TRAIN, _TEST = "train", "test"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """One dataset that was written.

    Attributes:
        name: of the dataset; of a subset, such as a category of MVTec AD.
        folder: where it was written.
        images: how many by folder: `train/good`, `test/good` and `test/<class>`, in that order.
    """

    name: str
    folder: Path
    images: Mapping[str, int]


def prepare(
    reader: DatasetReader, raw: Path | None, output: Path, *, callback: Callback | None = None
) -> tuple[Prepared, ...]:
    """Write a benchmark dataset as `train/good`, `test/good` and `test/<class>`.

    The normals keep the dataset's own split, or get the protocol's. All anomalies are tested.
    Image files are copied as they are; regions and `.npy` arrays are written as PNG. Images that
    cannot be read are left out and reported. The folder appears when it is complete.

    Args:
        reader: of the dataset.
        raw: its raw folder, as for the reader.
        output: the folder to write, new or empty; of several subsets each gets one inside.
        callback: receives progress and of images left out.

    Returns:
        What was written, in the order of the names.

    Raises:
        ConfigurationError: if `output` is a file or not empty.
        DataError: if `raw` is not the dataset, or none of its training images can be read.
        OSError: if `output` cannot be written.
    """
    watcher = callback or Callback()
    _check_output(output)
    datasets = reader.read(raw, callback=watcher)
    prepared: list[Prepared] = []
    with _folder_written_whole(output) as temporary:
        for dataset in datasets:
            inner = dataset.name if len(datasets) > 1 else ""
            images = _write(dataset, temporary / inner, watcher)
            prepared.append(Prepared(name=dataset.name, folder=output / inner, images=images))
    return tuple(prepared)


def _check_output(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise ConfigurationError(f"The output {output} is a file; name a folder.")
    if output.exists() and any(output.iterdir()):
        raise ConfigurationError(f"The output {output} is not empty; name a new or empty folder.")


def _write(dataset: Dataset, folder: Path, callback: Callback) -> dict[str, int]:
    """Write one dataset; return the number of images by class folder."""
    planned = _plan(dataset)
    counts = Counter({name: 0 for name, _, _ in planned})
    stage = f"preparing {dataset.name}"
    callback.on_stage(stage, 0, len(planned))
    for done, (class_folder, name, sample) in enumerate(planned, start=1):
        try:
            content = _content(sample)
        except ImageError as error:
            callback.on_skipped(Skipped(name=sample.name, reason=str(error)))
        else:
            target = folder / class_folder
            target.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                (target / name).write_bytes(content)
            else:
                content.save(target / name, format="PNG")
            counts[class_folder] += 1
        callback.on_stage(stage, done, len(planned))
    if not any(counts[name] for name in counts if name.startswith(_TRAIN)):
        raise DataError(f"None of the training images of {dataset.root} can be read.")
    return dict(counts)


def _plan(dataset: Dataset) -> list[tuple[str, str, Sample]]:
    """Class folder and file name of every sample."""
    train, test = split_normals(dataset)
    anomalies = sorted(dataset.anomalies, key=lambda sample: (sample.class_name, sample.name))
    groups = ((_TRAIN, train), (_TEST, test), (_TEST, anomalies))
    taken: set[tuple[str, str]] = set()
    return [
        (folder, _free_name(sample, folder, taken), sample)
        for part, samples in groups
        for sample in samples
        for folder in [f"{part}/{sample.class_name}"]
    ]


def _free_name(sample: Sample, folder: str, taken: set[tuple[str, str]]) -> str:
    """A file name no other sample of the folder has, in any letter case."""
    whole = Path(sample.name.replace("/", "_").replace("\\", "_").replace("#", "_"))
    written = sample.box is not None or whole.suffix.lower() == ARRAY_SUFFIX
    stem, suffix = (whole.name, ".png") if written else (whole.stem, whole.suffix)
    name, number = f"{stem}{suffix}", 1
    while (folder, name.casefold()) in taken:
        number += 1
        name = f"{stem}_{number}{suffix}"
    taken.add((folder, name.casefold()))
    return name


def _content(sample: Sample) -> bytes | Image.Image:
    """The file's bytes, or the image to write.

    Raises:
        ImageError: if it cannot be read as an image.
    """
    pixels = read_pixels(sample.source)  # of a file to copy too: a damaged one is left out
    if sample.box is not None or sample.path.suffix.lower() == ARRAY_SUFFIX:
        return Image.fromarray(pixels)
    try:
        return sample.path.read_bytes()
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error


@contextmanager
def _folder_written_whole(folder: Path) -> Iterator[Path]:
    """Give a temporary folder beside this one that becomes it if the block succeeds."""
    parent, name = folder.absolute().parent, folder.absolute().name
    parent.mkdir(parents=True, exist_ok=True)
    temporary = parent / f".{name}.{os.getpid()}-{secrets.token_hex(4)}.part"
    temporary.mkdir()
    try:
        yield temporary
        if folder.exists():
            folder.rmdir()  # empty, as was checked; Windows renames onto no folder
        temporary.rename(parent / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
