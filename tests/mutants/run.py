"""Puts defects into a copy of the source, one at a time, and tells which the tests let through.

    python tests/mutants/run.py              all of them: `make mutants`
    python tests/mutants/run.py memory.py    those whose room, file or description holds the word

A mutant is an entry of a list beside this file, one list a room:

    file    module, within src/ahl
    old     text that stands in it exactly once
    new     what a slip would make of it
    breaks  the promise that is broken then
    tests   modules, or tests, within tests, of which one must fail

Torch takes seconds to load: one process loads it, and forks for every mutant. The exit code is 1
if fewer than 95 % are killed, or if a list does not fit the source.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

ENOUGH = 0.95
"""Share of the mutants that must be killed."""

LONGEST = 180
"""Seconds after which a mutant counts as killed: it hangs."""

OPTIONS = ["-x", "-q", "--assert=plain", "--hypothesis-seed=0", "-p", "no:cacheprovider"]

WORKERS = int(os.environ.get("WORKERS", "2"))


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """An entry of a list; the room is the list's name."""

    room: str
    file: str
    old: str
    new: str
    breaks: str
    tests: tuple[str, ...]

    def applied_to(self, source: str) -> str:
        """The source with the defect; a ValueError if the entry does not fit it."""
        if source.count(self.old) != 1 or self.old == self.new:
            raise ValueError(f"{self.file}: {self.old!r} stands in it {source.count(self.old)} times")
        compile(mutated := source.replace(self.old, self.new), self.file, "exec")
        return mutated


def read_mutants(only: str = "") -> list[Mutant]:
    """All mutants, or those whose room, file or description holds a word."""
    found = []
    for path in sorted(HERE.glob("*.toml")):
        for entry in tomllib.loads(path.read_text())["mutant"]:
            tests = tuple(f"tests/{test}" for test in entry.pop("tests"))
            found.append(Mutant(room=path.stem, tests=tests, **entry))
    return [one for one in found if only in f"{one.room} {one.file} {one.breaks}"]


def outcome(copy: Path, tests: Sequence[str], *, keep_bytecode: bool = False) -> int | None:
    """Exit code of pytest over tests of a copy, in a process of its own; None if it hangs."""
    if not (child := os.fork()):
        try:
            os.setsid()
            os.chdir(copy)
            log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.dont_write_bytecode = not keep_bytecode
            sys.path.insert(0, str(copy / "src"))
            os.environ["PYTHONPATH"] = str(copy / "src")
            os._exit(pytest.main([*OPTIONS, f"--basetemp={copy}-{os.getpid()}", *tests]))
        finally:
            traceback.print_exc()
            os._exit(99)
    for _ in range(10 * LONGEST):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.1)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def judged(mutant: Mutant) -> tuple[Mutant, str]:
    """The mutant, and what became of it: killed, survived or, if no test could run, broken."""
    copy = Path(f"{BASE}-{os.getpid()}")  # this worker's own
    if not copy.exists():
        shutil.copytree(BASE, copy)
    path = copy / "src/ahl" / mutant.file
    source, times = path.read_text(), path.stat()
    path.write_text(mutant.applied_to(source))
    os.utime(path, (times.st_atime, times.st_mtime + 10))  # not the bytecode of the original
    code = outcome(copy, mutant.tests)
    path.write_text(source)
    os.utime(path, (times.st_atime, times.st_mtime))
    return mutant, {None: "killed", 0: "survived", 1: "killed"}.get(code, f"broken ({code})")


def sound(test: str) -> tuple[str, bool]:
    """A test module, or test, and whether it passes without a defect."""
    return test, outcome(BASE, [test], keep_bytecode=True) == 0


def run(mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, str]]:
    """Judge mutants, after the tests have passed without them."""
    for mutant in mutants:
        mutant.applied_to((BASE / "src/ahl" / mutant.file).read_text())
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        tests = sorted({test for one in mutants for test in one.tests})
        if failing := [test for test, passes in pool.imap_unordered(sound, tests) if not passes]:
            sys.exit(f"These do not pass without a defect: {', '.join(failing)}")
        yield from pool.imap_unordered(judged, mutants)


def main(only: str) -> int:
    """Print what survives, and the counts; the exit code."""
    counts: Counter[tuple[str, str]] = Counter()
    for mutant, became in run(mutants := read_mutants(only)):
        counts[mutant.room, became.split()[0]] += 1
        if became != "killed":
            print(f"{became}: {mutant.file}: {mutant.breaks}", flush=True)
    for room in dict.fromkeys(one.room for one in mutants):
        print(f"{room:14} {counts[room, 'killed']:4} of {sum(c for (r, _), c in counts.items() if r == room)} killed")
    killed = sum(count for (_, became), count in counts.items() if became == "killed")
    print(f"{'all':14} {killed:4} of {len(mutants)} killed")
    return int(killed < ENOUGH * len(mutants) or any(became == "broken" for _, became in counts))


if __name__ == "__main__":
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    import pandas, scipy.stats, sklearn.cluster, sklearn.linear_model, torch  # noqa

    with tempfile.TemporaryDirectory() as folder:
        BASE = Path(folder) / "copy"
        for part in ("src", "tests"):
            shutil.copytree(ROOT / part, BASE / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", BASE)
        sys.exit(main(*sys.argv[1:] or [""]))
