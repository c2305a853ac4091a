"""Kills the command at random moments: nothing half-written, and the rest gives the same bytes.

    python benchmarks/reliability/kills.py
    python benchmarks/reliability/kills.py --trials 3 --only train benchmark

Each trial begins in a fresh folder and kills one verb (SIGKILL) several times, each time after a
random share of the time that the verb takes undisturbed. After every kill, every file under a final
name must be whole. Then the verb runs to its end, resuming where it can, and must leave the same
bytes as an undisturbed run. Each run is a process of its own, forked from this one so that it
starts at once. The exit status is 1 if a check failed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from common import tell
from killable import JOBS, Job, leftovers, prepare

Run = tuple[int, float]
"""Exit status, or minus the signal, and seconds."""


def run(arguments: list[str], folder: Path, *, kill_after: float | None = None) -> Run:
    """Run the command in a process of its own; kill it after `kill_after` seconds."""
    started = time.perf_counter()
    process = os.fork()
    if not process:
        _become(arguments, folder)
    if kill_after is not None:
        time.sleep(kill_after)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status), time.perf_counter() - started


def _become(arguments: list[str], folder: Path) -> None:
    """Run the command in a forked child; never returns."""
    code = 1
    try:
        log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(folder)
        from ahl.apps.cli import main

        main(arguments, standalone_mode=False)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def trial(
    job: Job, folder: Path, base: Path, seconds: float, kills: int, draw: random.Random
) -> dict[str, int]:
    """Kill a job several times, then run it to its end; return the counts.

    Raises:
        FaultError: if it exits with an unexpected status.
    """
    told = {"killed": 0, "ended_before": 0, "temporary_files": 0}
    shutil.copytree(base, folder)
    again = False
    for _ in range(kills):
        arguments = job.again if again else job.first
        code, _ = run([*arguments], folder, kill_after=draw.uniform(0.02, 0.95) * seconds)
        if code not in (-signal.SIGKILL, *job.codes):
            raise FaultError(f"exit status {code}: {(folder / 'log.txt').read_text()[-600:]}")
        told["killed" if code < 0 else "ended_before"] += 1
        again = True
        job.check(folder)
    told["temporary_files"] = len(leftovers(folder))
    for path in leftovers(folder):  # as if a day had passed
        os.utime(path, (0, 0))
    code, _ = run([*job.again], folder)
    if code not in job.codes:
        raise FaultError(f"resumed, exit status {code}: {(folder / 'log.txt').read_text()[-600:]}")
    job.check(folder)
    return told


class FaultError(Exception):
    """A check of a trial failed."""


def differences(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    names = sorted({*one, *other})
    return [name for name in names if one.get(name) != other.get(name)]


def kill_job(
    job: Job, root: Path, base: Path, options: argparse.Namespace
) -> tuple[dict[str, object], list[str]]:
    """Run all trials of one verb; return its figures and faults."""
    folder = root / "undisturbed"
    shutil.copytree(base, folder)
    code, seconds = run([*job.first], folder)
    if code not in job.codes:
        return {}, [f"{job.name}, undisturbed: {code}: {(folder / 'log.txt').read_text()[-600:]}"]
    expected = job.result(folder)
    draw = random.Random(f"{job.name} {options.seed}")
    total = {"killed": 0, "ended_before": 0, "temporary_files": 0}
    faults = []
    for number in range(options.trials):
        place = root / f"trial{number}"
        try:
            for name, count in trial(job, place, base, seconds, options.kills, draw).items():
                total[name] += count
            wrong = differences(expected, job.result(place))
            if wrong:
                faults.append(f"{job.name}, trial {number}: not the same bytes: {wrong[:5]}")
            left = leftovers(place)
            if left:
                faults.append(f"{job.name}, trial {number}: left {[one.name for one in left][:5]}")
        except Exception as error:
            faults.append(f"{job.name}, trial {number}: {error!r}")
        if not options.keep:
            shutil.rmtree(place, ignore_errors=True)
    figures = {"undisturbed_s": round(seconds, 1), "trials": options.trials, **total}
    return {**figures, "files_compared": len(expected)}, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=10, help="of each verb")
    parser.add_argument("--kills", type=int, default=4, help="in each trial")
    parser.add_argument("--only", nargs="+", choices=[job.name for job in JOBS])
    parser.add_argument("--keep", type=Path, help="do the work in this folder and leave it")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    jobs = [job for job in JOBS if job.name in (options.only or [job.name][job.slow :])]
    figures: dict[str, object] = {}
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        root = (options.keep or Path(name)).resolve()
        base = prepare(root / "base", [job.name for job in jobs])
        for job in jobs:
            figures[job.name], wrong = kill_job(
                job, root / job.name.replace(" ", "-"), base, options
            )
            faults += wrong
            print(job.name, figures[job.name], wrong, file=sys.stderr, flush=True)
    return tell(figures, faults)


if __name__ == "__main__":
    sys.exit(main())
