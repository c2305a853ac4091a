"""`ahl datasets`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ahl.apps.cli.common import (
    errors_as_messages,
    json_option,
    own_name,
    print_json,
    stderr_console,
    stdout_console,
)

if TYPE_CHECKING:
    from ahl.benchmark.datasets import DatasetReader


@click.group()
def datasets() -> None:
    """List and convert the open-set papers' datasets."""


@datasets.command(name="list")
@json_option
@errors_as_messages
def list_datasets(as_json: bool) -> None:
    """List the datasets that can be read, and what their raw folders look like."""
    from rich.markup import escape
    from rich.table import Table

    from ahl.benchmark.datasets import READERS

    if as_json:
        print_json([_as_values(reader) for reader in READERS])
        return
    table = Table(show_lines=True)
    table.add_column("name", no_wrap=True)
    table.add_column("dataset", no_wrap=True)
    table.add_column("raw folder", overflow="fold")
    table.add_column("split of the normals")
    for reader in READERS:
        split = "its own" if reader.own_split else "75 % train, 25 % test"
        table.add_row(reader.name, reader.title, escape(reader.expects), split)
    console = stdout_console()
    console.print(table)
    console.print(f"Next: {own_name()} datasets prepare NAME RAW --output FOLDER")


@datasets.command()
@click.argument("name")
@click.argument("raw", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write, new or empty.",
)
@json_option
@errors_as_messages
def prepare(name: str, raw: Path, output: Path, as_json: bool) -> None:
    """Write the dataset NAME as train/good, test/good and test/CLASS, for any tool.

    RAW is the folder as downloaded, or for elpv the word 'package'. Normal images keep the
    dataset's own split, or get the benchmark protocol's fixed one. Images that cannot be read
    are left out and reported.
    """
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.benchmark.datasets import find_reader
    from ahl.benchmark.datasets.prepare import prepare as write

    reader = find_reader(name)
    with ConsoleCallback(stderr_console(quiet=as_json)) as callback:
        prepared = write(reader, raw, output, callback=callback)
    skipped = [{"path": one.name, "error": one.reason} for one in callback.skipped]
    if as_json:
        written = [
            {"name": one.name, "folder": str(one.folder), "images": dict(one.images)}
            for one in prepared
        ]
        print_json({"output": str(output), "datasets": written, "skipped": skipped})
        return
    for one in prepared:
        counts = ", ".join(f"{count:,} {folder}" for folder, count in one.images.items())
        click.echo(f"{one.folder}: {counts}")
    if skipped:
        click.echo(f"{len(skipped)} images were left out.")
    click.echo(f"Next: {own_name()} train {prepared[0].folder} --output {prepared[0].name}.ahl")


def _as_values(reader: DatasetReader) -> dict[str, Any]:
    return {
        "name": reader.name,
        "title": reader.title,
        "raw": reader.expects,
        "normals_split": "own" if reader.own_split else "protocol",
        "hard_classes": reader.hard_classes,
        "hard_subsets": reader.hard_subsets,
    }
