"""`ahl datasets`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ahl._common.text import counted
from ahl.apps.cli.common import (
    indented,
    print_json,
    skipped_values,
    stderr_console,
    suggest,
    tell,
)
from ahl.apps.cli.groups import JsonAlone, json_flag
from ahl.apps.cli.labelled import Labels, labelled_data
from ahl.apps.cli.options import option, options, takes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.benchmark.datasets import DatasetReader
    from ahl.benchmark.datasets.prepare import Prepared


_SPLITS = {True: "its own", False: "75 % train, 25 % test"}


@options
class PrepareOptions:
    """The options of `ahl datasets prepare`."""

    output: Path = option("Folder to write, new or empty.", "-o", type=click.Path(path_type=Path))
    as_json: bool = json_flag()


@options
class ArrangeOptions:
    """The options of `ahl datasets arrange`."""

    output: Path = option("Folder to write, new or empty.", "-o", type=click.Path(path_type=Path))
    labels: Labels
    as_json: bool = json_flag()


@click.group()
def datasets() -> None:
    """List and convert the open-set papers' datasets."""


@datasets.command(name="list")
@takes(JsonAlone)
def list_datasets(options: JsonAlone) -> None:
    """List the datasets that can be read, and their raw folders."""
    from ahl.benchmark.datasets import READERS

    if options.as_json:
        print_json([_as_values(reader) for reader in READERS])
        return
    for one in READERS:
        click.echo(f"{one.name}: {one.title}, split of the normals: {_SPLITS[one.own_split]}")
        click.echo(indented(one.expects))
    suggest("datasets prepare NAME RAW --output FOLDER")


@datasets.command()
@click.argument("name")
@click.argument("raw", type=click.Path(path_type=Path))
@takes(PrepareOptions)
def prepare(name: str, raw: Path, options: PrepareOptions) -> None:
    """Write a dataset as train/good, test/good and test/CLASS.

    RAW is the folder as downloaded, or for elpv the word 'package'. Normal images keep the
    dataset's own split, or get the benchmark protocol's fixed one. Images that cannot be read
    are left out and reported.
    """
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.benchmark.datasets import find_reader
    from ahl.benchmark.datasets.prepare import prepare as write

    reader = find_reader(name)
    with ConsoleCallback(stderr_console(quiet=options.as_json)) as callback:
        prepared = write(reader, raw, options.output, callback=callback)
    _show(prepared, options.output, callback, as_json=options.as_json)


@datasets.command()
@labelled_data
@takes(ArrangeOptions)
def arrange(data: Path | None, options: ArrangeOptions) -> None:
    """Copy labelled images into good/ and a folder for each defect.

    Give images in no known layout by --good and --defect, or by --table. Masks go into a folder of
    their own; images that cannot be read are left out and reported.
    """
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.benchmark.datasets.prepare import arrange as write

    dataset = options.labels.dataset(data)
    with ConsoleCallback(stderr_console(quiet=options.as_json)) as callback:
        arranged = write(dataset, options.output, callback=callback)
    _show([arranged], options.output, callback, as_json=options.as_json)


def _show(
    prepared: Sequence[Prepared], output: Path, callback: ConsoleCallback, *, as_json: bool
) -> None:
    if as_json:
        written = [
            {"name": one.name, "folder": str(one.folder), "images": dict(one.images)}
            for one in prepared
        ]
        skipped = skipped_values(callback.skipped)
        print_json(
            {
                "output": str(output),
                "datasets": written,
                "skipped": skipped,
                "notes": callback.notes,
            }
        )
        return
    for one in prepared:
        counts = ", ".join(f"{count:,} {folder}" for folder, count in one.images.items())
        tell(f"{one.folder}: {counts}")
    if callback.skipped:
        tell(f"{counted(len(callback.skipped), 'unreadable image', 'were')} left out.")
    suggest("train", prepared[0].folder, "--output", f"{prepared[0].name}.ahl")


def _as_values(reader: DatasetReader) -> dict[str, Any]:
    return {
        "name": reader.name,
        "title": reader.title,
        "raw": reader.expects,
        "normals_split": "own" if reader.own_split else "protocol",
        "hard_classes": reader.hard_classes,
        "hard_subsets": reader.hard_subsets,
    }
