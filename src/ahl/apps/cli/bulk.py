"""`ahl predict --output`: its options, and scores written into a folder."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ahl._common.errors import ConfigurationError
from ahl._common.text import counted
from ahl.apps.cli.common import SKIPPED, print_json, stderr_console, tell
from ahl.apps.cli.groups import ScorerComputing
from ahl.apps.cli.options import POSITIVE, option, options

if TYPE_CHECKING:
    from ahl.apps.bulk.run import Collected, Engine


@options
class BulkOptions:
    """The options of scoring into a folder; None for those that were not given.

    Raises:
        ConfigurationError: if one is given without another that it needs.
    """

    output: str | None = option(
        "Write scores as Parquet files into this folder (or URL, such as s3://bucket/scores) "
        "instead of printing them; the same command continues an interrupted run. PATHs may then "
        "be URLs, and Parquet files. Needs the extra ahl[bulk].",
        default=None,
        metavar="DIR",
    )
    engine: Literal["local", "ray"] | None = option(
        "With --output: where to score, in this process or on Ray (extra ahl[ray]) "
        "[default: local].",
        default=None,
    )
    column: str | None = option(
        "Column of Parquet files with paths, URLs or encoded images [default: path].", default=None
    )
    shard_size: int | None = option(
        "Images per Parquet file of the output [default: 1024].", default=None, type=POSITIVE
    )
    workers: int | None = option(
        "Ray: number of actors, of --threads (default 1) each [default: as many as fit].",
        default=None,
        type=POSITIVE,
    )
    ray_address: str | None = option(
        "Ray: address of a running cluster, or 'auto' [default: start Ray on this machine].",
        default=None,
        metavar="ADDRESS",
    )

    def __post_init__(self) -> None:
        if self.output is None:
            for name in ("engine", "column", "shard_size", "workers", "ray_address"):
                self._refuse(name, "--output DIR")
            return
        if self.engine != "ray":
            for name in ("workers", "ray_address"):
                self._refuse(name, "--engine ray")

    def _refuse(self, name: str, needed: str) -> None:
        if getattr(self, name) is not None:
            raise ConfigurationError(f"--{name.replace('_', '-')} needs {needed}.")


def score_to_folder(
    model: Path,
    inputs: tuple[str, ...],
    options: BulkOptions,
    computing: ScorerComputing,
    *,
    as_json: bool,
) -> None:
    """Score a collection into the folder `options.output`, and print a summary.

    Raises:
        SystemExit: with status 3, if images could not be read.
        AHLError: see `ahl.apps.bulk.run.score_collection`.
    """
    from ahl.apps.bulk.run import SHARD_SIZE, score_collection
    from ahl.apps.cli.progress import ConsoleCallback

    output = options.output or "."
    engine = _engine(options, computing.threads)
    with ConsoleCallback(stderr_console(quiet=as_json)) as callback:
        collected = score_collection(
            model,
            inputs,
            output,
            engine=engine,
            column=options.column or "path",
            shard_size=options.shard_size or SHARD_SIZE,
            device=computing.device,
            callback=callback,
        )
    if as_json:
        print_json({"output": output, **asdict(collected)})
    else:
        tell(_in_words(collected, output))
    if collected.unreadable:
        raise SystemExit(SKIPPED)


def _engine(options: BulkOptions, threads: int | None) -> Engine:
    if options.engine == "ray":
        from ahl.apps.bulk.ray_engine import RayEngine

        return RayEngine(workers=options.workers, threads=threads or 1, address=options.ray_address)
    from ahl.apps.bulk.run import score_here

    return partial(score_here, threads=threads)


def _in_words(collected: Collected, output: str) -> str:
    shards = counted(collected.shards, "Parquet file")
    words = f"{counted(collected.images, 'image')} scored in {shards}: {output}"
    if collected.found:
        words += f" ({collected.found} of them already there)"
    if collected.unreadable:
        images = counted(collected.unreadable, "image")
        words += f"\n{images} could not be read; the column `error` says why."
    if collected.unfetched:
        words += (
            f"\n{collected.unfetched} of them could not be fetched; the same command tries again."
        )
    return words
