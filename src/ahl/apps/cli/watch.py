"""`ahl watch`."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ahl._common.text import printable
from ahl.apps.cli.common import SKIPPED, indented, print_json, stderr_console
from ahl.apps.cli.groups import ScorerComputing, existing_model, json_flag
from ahl.apps.cli.options import EXISTING_FOLDER, FILE, FOLDER, option, options, takes

_SECONDS = click.FloatRange(min=0)


@options
class WatchOptions:
    """The options of `ahl watch`."""

    ok: Path = option("Folder for normal images.", type=FOLDER)
    reject: Path = option("Folder for anomalous images.", type=FOLDER)
    uncertain: Path | None = option(
        "Folder for images too close to call [default: --ok or --reject, by their side of the "
        "threshold].",
        default=None,
        type=FOLDER,
    )
    unreadable: Path | None = option(
        "Folder for files that cannot be decoded [default: REJECT/unreadable].",
        default=None,
        type=FOLDER,
    )
    recursive: bool = option(
        "Also watch subfolders; they are recreated in the target folders.", default=False
    )
    settle: float = option(
        "Seconds that a file must stay unchanged to count as complete.", default=2, type=_SECONDS
    )
    patience: float = option(
        "Seconds that a file that cannot be decoded must stay unchanged to count as unreadable.",
        default=30,
        type=_SECONDS,
    )
    poll: float = option("Seconds between two scans of IN.", default=1, type=_SECONDS)
    once: bool = option(
        "Process the files that are there now, then exit (for cron).", default=False
    )
    log: Path | None = option(
        "Append one JSON line to this file for every file moved.",
        default=None,
        type=FILE,
    )
    why: bool = option(
        "Add to each line why the image is anomalous, and the most similar training images.",
        default=False,
    )
    heat_maps: Path | None = option(
        "Folder for heat maps: a picture of each image with its evidence.",
        default=None,
        type=FOLDER,
    )
    computing: ScorerComputing
    as_json: bool = json_flag()


@click.command()
@existing_model
@click.argument("folder", metavar="IN", type=EXISTING_FOLDER)
@takes(WatchOptions)
def watch(model: Path, folder: Path, options: WatchOptions) -> None:
    """Score images that arrive in a folder; move each by its verdict.

    MODEL needs a threshold (`ahl threshold`). Every file is moved exactly once, and has one line in
    the log, even if the process is killed or the machine fails: the same command continues. Nothing
    is ever overwritten; if a name is taken, the new file gets a number.

    A file is complete when its size and time have not changed for --settle seconds and no program
    on this machine (Linux) has it open for writing. Only files with an image's suffix count, and no
    names that begin with '.' or '~': write under such a name, or with '.part' after it, then
    rename. Only one watch can run on a folder at a time; it keeps its state in IN/.ahl-watch.

    SIGTERM or Ctrl-C stop it after the current file.

    Exit status: 0 done or stopped, 1 failed, 2 wrong usage, 3 (--once) done, but some files were
    unreadable or could not be moved.
    """
    from ahl.apps.watch.arrivals import Arrivals
    from ahl.apps.watch.journal import Journal, ResultLog, held_alone
    from ahl.apps.watch.mover import Mover
    from ahl.apps.watch.watcher import LEFT, UNREADABLE, Destinations, Watcher
    from ahl.scoring.opening import open_scorer

    destinations = Destinations(
        ok=options.ok,
        reject=options.reject,
        uncertain=options.uncertain,
        unreadable=options.unreadable or options.reject / "unreadable",
    )
    destinations.check(folder)
    if options.heat_maps is not None:
        from ahl.data.images.finding import claim_folder

        claim_folder(options.heat_maps, "--heat-maps")
    pictures = () if options.heat_maps is None else (options.heat_maps,)
    log, once, console = options.log, options.once, stderr_console()

    def warn(text: str) -> None:
        console.print(printable(text), soft_wrap=True, markup=False)

    def keep_locks() -> None:
        for keep in locks:
            keep()

    with contextlib.ExitStack() as held:
        locks = [held.enter_context(held_alone(folder / ".ahl-watch" / "lock", str(folder)))]
        if log is not None:
            lock = log.with_name(f".{log.name}.lock")
            locks.append(held.enter_context(held_alone(lock, f"the log {log}")))
        journal = Journal(
            folder / ".ahl-watch" / "moving.json", watched=folder, goals=destinations.all()
        )
        mover = Mover(journal, ResultLog(log), keep_lock=keep_locks)
        watcher = Watcher(
            open_scorer(model, device=options.computing.device, threads=options.computing.threads),
            Arrivals(
                folder,
                recursive=options.recursive,
                settle=options.settle,
                patience=options.patience,
                excluded=(*destinations.all(), *pictures),
            ),
            mover,
            destinations,
            poll=options.poll,
            on_moved=print_json if options.as_json else _print_line,
            on_warning=warn,
            why=options.why,
            heat_maps=options.heat_maps,
        )
        held.enter_context(_stopped_by_signals(watcher.stop))
        warn(f"Watching {folder}{'' if once else '; stop with Ctrl-C or SIGTERM'}.")
        try:
            if once:
                watcher.run_once()
            else:
                watcher.run()
        finally:
            counts = ", ".join(
                f"{number} {name}" for name, number in sorted(watcher.counts.items())
            )
            warn(f"Moved: {counts or 'nothing'}.")
    if once and (watcher.counts[UNREADABLE] or watcher.counts[LEFT]):
        raise SystemExit(SKIPPED)


def _print_line(line: Mapping[str, Any]) -> None:
    """Print what became of a file, for people."""
    from ahl.scoring.words import called

    path, moved_to = (printable(str(line[name])) for name in ("path", "moved_to"))
    if "error" in line:
        text = f"{'unreadable':<12}{path} -> {moved_to}: {line['error']}"
    else:
        verdict = called(line["anomalous"], line["verdict"])
        text = f"{verdict:<12}{line['score']:>10.4f}  {path} -> {moved_to}"
        if "why_in_words" in line:
            text += f"\n{indented(line['why_in_words'])}"
    click.echo(text)


@contextlib.contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first SIGTERM or Ctrl-C stop the work; a second one ends the process."""
    before = {int(number): signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def heard(number: int, _: object) -> None:
        stop()
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, heard)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
