"""Shared by all verbs: errors as messages, consoles, JSON, tables."""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import click

from ahl._common.errors import AHLError, ConfigurationError, DataError
from ahl._common.text import first_line, printable, short

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ahl._common.types import Skipped

P = ParamSpec("P")
R = TypeVar("R")

FAILED, USAGE, SKIPPED = 1, 2, 3

_FULL_ONLY: Final = (
    *("jinja2", "matplotlib", "psutil", "safetensors", "scipy", "sklearn", "threadpoolctl"),
    *("timm", "torch", "torchvision"),
)
"""Modules that `ahl` depends on and `ahl-runtime`, which has the same verbs, does not."""


def errors_as_messages(verb: Callable[P, R]) -> Callable[P, R]:
    """Make a verb print a user's mistake as one clear line, without a traceback.

    The verb then raises SystemExit with the exit status.
    """

    @functools.wraps(verb)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        status = FAILED
        try:
            return verb(*args, **kwargs)
        except AHLError as error:
            status = USAGE if isinstance(error, ConfigurationError) else FAILED
            tell(f"ahl: {error}", err=True)
        except ModuleNotFoundError as error:
            if error.name not in _FULL_ONLY:
                raise
            status = USAGE
            tell(
                f"ahl: This needs {error.name}, which is not installed. Run pip install ahl, in "
                "an environment without ahl-runtime: it installs all that `ahl` needs.",
                err=True,
            )
        except BrokenPipeError:  # the reader of our output has gone, as in `ahl ... | head`
            sys.stderr.close()
        except OSError as error:  # a full disk, a folder that may not be written to
            place = printable(str(error.filename or "standard output"))
            click.echo(f"ahl: {place}: {first_line(error)}.", err=True)
        except KeyboardInterrupt:
            status = 130
            click.echo("\nInterrupted.", err=True)
        raise SystemExit(status)

    return wrapped


def json_line(value: object) -> str:
    """A value as JSON on one line."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


def print_json(value: object) -> None:
    """Print one JSON value on one line of standard output."""
    click.echo(json_line(value))


def stdout_console() -> Console:
    """The console for results."""
    from rich.console import Console

    return Console(highlight=False)


def stderr_console(*, quiet: bool = False) -> Console:
    """The console for progress and notes: standard error, so that results can be piped."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, quiet=quiet)


LONGEST_VALUE: Final = 1000
"""Most characters printed of one value of a model file."""


def value_table(rows: Mapping[str, str]) -> Table:
    """A table of names and values from a file that may hold anything; long values are cut."""
    shown = ((name, short(value, LONGEST_VALUE)) for name, value in rows.items())
    return make_table(["", ""], shown)


def make_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None
) -> Table:
    """A table of plain text; a column whose name begins with `>` is aligned to the right."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=any(columns))
    for name in columns:
        right = name.startswith(">")
        table.add_column(
            name.removeprefix(">"), justify="right" if right else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def say(note: str) -> None:
    """Print a note for people on standard error, so that results can be piped."""
    tell(note, err=True)


def skipped_values(skipped: Iterable[Skipped]) -> list[dict[str, str]]:
    """The skipped images as JSON values."""
    return [{"path": one.name, "error": one.reason} for one in skipped]


def images_of(patterns: Sequence[str], note: Callable[[str], None] = say) -> list[Path]:
    """The images of files, folders and patterns, with notes on what was left out.

    Raises:
        DataError: as `expand_paths`.
    """
    from ahl.data.images.finding import expand_paths

    found = expand_paths(patterns)
    for sentence in found.notes():
        note(sentence)
    return list(found.images)


def use_threads(threads: int | None) -> None:
    """Limit torch's threads."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def check_writable(path: Path | None) -> None:
    """Check that an output can be written, before any work is done for it.

    Args:
        path: the file to write, whose missing folders will be made; None is no output.

    Raises:
        DataError: if it is a folder, or its folder cannot be written to.
    """
    if path is None:
        return
    if path.is_dir():
        raise DataError(f"{path} is a folder: name a file, in it or elsewhere.")
    # Lexists: a broken link is not a folder, and nothing can be made in its place.
    above = next(
        one for one in path.absolute().parents if os.path.lexists(one) or one == one.parent
    )
    if not above.is_dir():
        raise DataError(f"{path} cannot be written: {above} is not a folder.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise DataError(
            f"{path} cannot be written: there is no permission to write into the folder {above}."
        )


def tell(text: str, *, err: bool = False) -> None:
    """Print text; on a terminal, its lines are wrapped at words, and list items stay indented.

    Args:
        text: one line or several.
        err: on standard error, as notes and errors are, so that results can be piped.
    """
    if (sys.stderr if err else sys.stdout).isatty():
        text = "\n".join(map(_wrapped, text.split("\n")))
    click.echo(text, err=err)


def indented(words: str) -> str:
    """A paragraph below a line of a list, wrapped at words."""
    return _wrapped(" " * 12 + words, more=0)


def _wrapped(line: str, more: int = 2) -> str:
    """Wrap a line at the terminal's width; an indented one goes on `more` spaces further in."""
    indent = len(line) - len(line.lstrip())
    return textwrap.fill(
        line,
        max(shutil.get_terminal_size().columns, 40),
        subsequent_indent=" " * (indent + more if indent else 0),
        break_long_words=False,
        break_on_hyphens=False,
    )


def own_name() -> str:
    """The command to call again: its path where `ahl` alone would not find it."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "ahl" and shutil.which("ahl") is None else "ahl"


def suggest(*words: object) -> None:
    """Print the command to go on with."""
    click.echo(f"Next: {own_name()} {' '.join(map(str, words))}")
