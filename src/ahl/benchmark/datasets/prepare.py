"""Writes datasets as folders in layouts that other tools read, too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from ahl._common.callbacks import Callback
from ahl._common.errors import ConfigurationError, DataError, ImageError
from ahl._common.files import mark_output, written_whole
from ahl._common.text import counted
from ahl._common.types import GOOD, Sample, Skipped
from ahl.benchmark.datasets.reader import DatasetReader
from ahl.data.folders import Dataset
from ahl.data.images.files import content_of
from ahl.data.images.formats import ARRAY_SUFFIX
from ahl.data.images.reading import read_pixels, read_stream
from ahl.data.splits import split_normals

_TRAIN, _TEST = "train", "test"

_Planned = tuple[str, str, Sample]
"""A sample behind its class folder and file name."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A dataset, or a subset such as a category of MVTec AD, that was written to a folder."""

    name: str
    folder: Path
    images: Mapping[str, int]
    """Number of images by folder: `train/good`, `test/good` and `test/<class>`, in that order."""


def prepare(
    reader: DatasetReader, raw: Path | None, output: Path, *, callback: Callback | None = None
) -> tuple[Prepared, ...]:
    """Write a benchmark dataset as `train/good`, `test/good` and `test/<class>`.

    The normals keep the dataset's own split, or get the protocol's. All anomalies are tested.
    Image files are copied as they are; regions and `.npy` arrays are written as PNG of 8 bits.
    Images that cannot be read are left out and reported. The folder appears when it is complete.

    Args:
        reader: the dataset's reader.
        raw: its raw folder, as for the reader.
        output: the folder to write, new or empty; each of several subsets gets a subfolder.
        callback: receives progress and images left out.

    Raises:
        ConfigurationError: if `output` is a file or not empty.
        DataError: if `raw` is not the dataset, or none of its training images can be read.
        OSError: if `output` cannot be written.
    """
    watcher = callback or Callback()
    _check_new(output)
    datasets = reader.read(raw, callback=watcher)
    prepared: list[Prepared] = []
    with _new_folder(output, raw) as temporary:
        for dataset in datasets:
            inner = dataset.name if len(datasets) > 1 else ""
            images = _write(dataset, _plan(dataset), temporary / inner, watcher)
            prepared.append(Prepared(name=dataset.name, folder=output / inner, images=images))
    return tuple(prepared)


def arrange(dataset: Dataset, output: Path, *, callback: Callback | None = None) -> Prepared:
    """Write a dataset in its own layout, with its masks in `ground_truth/<class>/`.

    Files are copied as they are, `.npy` arrays too, of which a PNG could lose bits or channels.

    Args:
        dataset: a dataset of paths, of a table or of a folder.
        output: the folder to write, new or empty.
        callback: receives progress and images left out.

    Raises:
        ConfigurationError: if `output` is a file or not empty.
        DataError: if none of the good images can be read.
        OSError: if `output` cannot be written.
    """
    _check_new(output)
    callback = callback or Callback()
    own_split = dataset.layout == "benchmark"
    train, test = (f"{_TRAIN}/", f"{_TEST}/") if own_split else ("", "")
    tested = [*dataset.test_normals, *dataset.anomalies]
    parts = [*((train, s) for s in dataset.train_normals), *((test, s) for s in tested)]
    planned = _named(parts, redrawn=())
    with _new_folder(output, dataset.root) as temporary:
        images = _write(dataset, planned, temporary, callback)
    if grouped := sum(sample.part is not None for _, _, sample in planned):
        callback.on_note(
            f"The groups of {counted(grouped, 'image')} are not kept, as a folder layout has no "
            "groups. If the names tell the groups, use --group-by later."
        )
    return Prepared(name=dataset.name, folder=output, images=images)


def _check_new(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise ConfigurationError(f"The output {output} is a file; name a folder.")
    if output.exists() and any(output.iterdir()):
        raise ConfigurationError(f"The output {output} is not empty; name a new or empty folder.")


@contextmanager
def _new_folder(output: Path, data: Path | None) -> Iterator[Path]:
    """Yield a folder to fill, which becomes the output when it is complete.

    An output inside the data's folder is marked, so that it is not read as a part of the data.
    """
    with written_whole(output.absolute()) as temporary:
        temporary.mkdir()
        if data is not None and output.resolve().is_relative_to(data.resolve()):
            mark_output(temporary)
        yield temporary
        if output.exists():
            output.rmdir()  # empty, as was checked; Windows renames onto no folder


def _write(
    dataset: Dataset, planned: list[_Planned], folder: Path, callback: Callback
) -> dict[str, int]:
    """Write one dataset; return the number of images by class folder."""
    counts = Counter({name: 0 for name, _, _ in planned})
    stage = f"preparing {dataset.name}"
    callback.on_stage(stage, 0, len(planned))
    for done, (class_folder, name, sample) in enumerate(planned, start=1):
        try:
            content = _content(sample, name)
        except ImageError as error:
            callback.on_skipped(Skipped(name=sample.name, reason=str(error)))
        else:
            (folder / class_folder).mkdir(parents=True, exist_ok=True)
            (folder / class_folder / name).write_bytes(content)
            counts[class_folder] += 1
            masks = folder / "ground_truth" / sample.class_name
            for skipped in _write_masks(masks, Path(name).stem, sample):
                callback.on_skipped(skipped)
        callback.on_stage(stage, done, len(planned))
    if not any(counts[name] for name in counts if name in (GOOD, f"{_TRAIN}/{GOOD}")):
        raise DataError(f"None of the training images of {dataset.root} can be read.")
    return dict(counts)


def _write_masks(folder: Path, stem: str, sample: Sample) -> Iterator[Skipped]:
    for number, mask in enumerate(sample.masks, start=1):
        which = number if len(sample.masks) > 1 else ""
        try:
            content = content_of(mask)
        except ImageError as error:
            yield Skipped(name=f"{sample.name} (its mask {mask.name})", reason=str(error))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{stem}_mask{which}{mask.suffix}").write_bytes(content)


def _plan(dataset: Dataset) -> list[_Planned]:
    """Place samples in MVTec AD's layout, by the protocol's split if the dataset has none."""
    train, test = split_normals(dataset)
    anomalies = sorted(dataset.anomalies, key=lambda sample: (sample.class_name, sample.name))
    parts = [(f"{_TRAIN}/", sample) for sample in train]
    parts += [(f"{_TEST}/", sample) for sample in (*test, *anomalies)]
    return _named(parts, redrawn=(ARRAY_SUFFIX,))


def _named(parts: Sequence[tuple[str, Sample]], *, redrawn: Collection[str]) -> list[_Planned]:
    """Choose class folder and file name of every sample; `parts` gives each split's folder.

    Regions, and files with a suffix in `redrawn`, become PNG. Names in a folder differ even if
    letter case is ignored; so do stems where there are masks, which are named by them.
    """
    masked = any(sample.masks for _, sample in parts)
    taken: set[tuple[str, str]] = set()
    planned = []
    for part, sample in parts:
        folder = f"{part}{sample.class_name}"
        whole = Path(sample.name.replace("/", "_").replace("\\", "_").replace("#", "_"))
        as_png = sample.box is not None or sample.path.suffix.lower() in redrawn
        stem, suffix = (whole.name, ".png") if as_png else (whole.stem, whole.suffix)
        free, number, told = stem, 1, "" if masked else suffix
        while (folder, f"{free}{told}".casefold()) in taken:
            number += 1
            free = f"{stem}_{number}"
        taken.add((folder, f"{free}{told}".casefold()))
        planned.append((folder, f"{free}{suffix}", sample))
    return planned


def _content(sample: Sample, name: str) -> bytes:
    """The file's bytes; those of a PNG for a region, or for an array to be named `.png`.

    Raises:
        ImageError: if it cannot be read as an image.
    """
    is_array = sample.path.suffix.lower() == ARRAY_SUFFIX
    if sample.box is not None or (is_array and Path(name).suffix == ".png"):
        stream = BytesIO()
        Image.fromarray(read_pixels(sample.source)).save(stream, format="PNG")
        return stream.getvalue()
    data = content_of(sample.path)
    read_stream(BytesIO(data), sample.path.name)  # a damaged one is left out
    return data
