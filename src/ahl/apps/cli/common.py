"""What the verbs share: error handling, JSON output, progress for people."""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import click

from ahl._common.errors import AHLError, ConfigurationError, DataError

if TYPE_CHECKING:
    from rich.console import Console

P = ParamSpec("P")
R = TypeVar("R")
Verb = TypeVar("Verb", bound=Callable[..., Any])

FAILED, USAGE, SKIPPED = 1, 2, 3

_FULL_ONLY: Final = (
    *("jinja2", "matplotlib", "psutil", "safetensors", "scipy", "sklearn", "threadpoolctl"),
    *("timm", "torch", "torchvision"),
)
"""Modules that `ahl` depends on and `ahl-runtime`, which has the same verbs, does not."""

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for machines instead of tables."
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)
scorer_device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "openvino"]),
    default="auto",
    show_default=True,
    help="Where to compute. An exported model: auto or cpu (ONNX Runtime), or openvino.",
)
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads [default: all cores]."
)
seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True
)
cache_option = click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for cached features [default: $AHL_CACHE, else your user cache].",
)
no_cache_option = click.option("--no-cache", is_flag=True, help="Keep no features after the run.")
existing_model = click.argument(
    "model", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)


def _not_exported(_context: click.Context, _parameter: click.Parameter, model: Path) -> Path:
    from ahl.scoring.artefact import is_exported

    if is_exported(model):
        raise click.BadParameter(
            f"{model} is an exported model; give the model file that it was exported from."
        )
    return model


trained_model = click.argument(
    "model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=_not_exported,
)
"""Of verbs that an exported model does not serve."""


def add_options(verb: Verb, options: Sequence[Callable[[Verb], Verb]]) -> Verb:
    """Add a group of options to a verb, in the order of its help."""
    for option in reversed(options):
        verb = option(verb)
    return verb


def chosen_cache(cache: Path | None, no_cache: bool) -> Path | str | None:
    """What `--cache` and `--no-cache` come to, as `ahl.AHL` takes it.

    Raises:
        ConfigurationError: if both are given.
    """
    if cache is not None and no_cache:
        raise ConfigurationError("Give --cache or --no-cache, not both.")
    return None if no_cache else (cache or "auto")


def errors_as_messages(verb: Callable[P, R]) -> Callable[P, R]:
    """Print a user's mistake as one clear line, without a traceback."""

    @functools.wraps(verb)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return verb(*args, **kwargs)
        except ConfigurationError as error:
            _complain(error)
            raise SystemExit(USAGE) from None
        except AHLError as error:
            _complain(error)
            raise SystemExit(FAILED) from None
        except ModuleNotFoundError as error:
            if error.name not in _FULL_ONLY:
                raise
            _complain(
                f"This needs {error.name}, which is not installed. All that `ahl` needs comes with "
                "pip install ahl, into an environment without ahl-runtime."
            )
            raise SystemExit(USAGE) from None
        except BrokenPipeError:  # the reader of our output has gone, as in `ahl ... | head`
            sys.stderr.close()
            raise SystemExit(FAILED) from None
        except OSError as error:  # a full disk, a folder that may not be written to
            _complain(f"{error.filename}: {error.strerror}." if error.filename else str(error))
            raise SystemExit(FAILED) from None
        except KeyboardInterrupt:
            click.echo("\nInterrupted.", err=True)
            raise SystemExit(130) from None

    return wrapped


def _complain(error: AHLError | str) -> None:
    click.echo(f"ahl: {error}", err=True)


def print_json(value: object) -> None:
    """Print one JSON value on one line of standard output."""
    click.echo(json.dumps(value, ensure_ascii=True, allow_nan=False))


def stdout_console() -> Console:
    """The console for results."""
    from rich.console import Console

    return Console(highlight=False)


def stderr_console(*, quiet: bool = False) -> Console:
    """The console for progress and notes: standard error, so that results can be piped."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, quiet=quiet)


def use_threads(threads: int | None) -> None:
    """Limit torch's threads."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def check_writable(path: Path | None) -> None:
    """Refuse an output that cannot be written, before any work is done for it.

    Args:
        path: the file to write, whose missing folders will be made; None is no output.

    Raises:
        DataError: if it is a folder, or lies where nothing can be written.
    """
    if path is None:
        return
    if path.is_dir():
        raise DataError(f"{path} is a folder: name a file, in it or elsewhere.")
    # Lexists: a broken link is no folder, and one cannot be made in its place.
    above = next(
        one for one in path.absolute().parents if os.path.lexists(one) or one == one.parent
    )
    if not above.is_dir():
        raise DataError(f"{path} cannot be written: {above} is not a folder.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise DataError(f"{path} cannot be written: you may not write into the folder {above}.")


def counted(number: int, noun: str) -> str:
    """`1 image`, `3 anomalies`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def called(anomalous: bool | None, verdict: str | None) -> str:
    """What an image is called, for people; with a question mark where it is too close to call."""
    side = "anomalous" if anomalous else "normal"
    return side if verdict == side else f"{side}?"


def own_name() -> str:
    """How the command can be called again: its path where `ahl` alone would not find it."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "ahl" and shutil.which("ahl") is None else "ahl"


def figure(value: float | None) -> str:
    """A figure for people: three digits, or a dash."""
    return "-" if value is None else f"{value:.3f}"
