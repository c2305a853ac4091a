"""Puts defects into a copy of the source, one at a time, and tells which the tests let through.

    python tests/mutants/run.py              all of them: `make mutants`
    python tests/mutants/run.py evidence     those of a room, or of a file

A mutant is an entry of a list beside this file, one list a room: `old` text that stands in `file`
(within src/ahl) exactly once, the `new` one that a slip would make of it, what it `breaks`, and the
`tests` (modules or single tests) of which one must fail. The exit code is 1 if fewer than 95 % are
killed, if no test could run on one, or if a list does not fit the source.
"""

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import tomllib
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

ENOUGH = 0.95
"""Share of the mutants that must be killed."""

LONGEST = 300
"""Seconds after which a mutant counts as killed: it hangs."""

LOADED = ("pandas", "scipy.stats", "sklearn.cluster", "sklearn.linear_model", "torch")
"""Loaded once, by a process that forks for each mutant; not ahl, which each loads anew."""

OPTIONS = ["-x", "-q", "--assert=plain", "--hypothesis-seed=0", "-p", "no:cacheprovider"]


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
        if (count := source.count(self.old)) != 1 or self.old == self.new:
            raise ValueError(f"{self.file} has {count} times, not once: {self.old!r}")
        changed = source.replace(self.old, self.new)
        compile(changed, self.file, "exec")
        return changed


def read_mutants(only: str = "") -> list[Mutant]:
    """All mutants, or those of which room or file hold a word."""
    found = []
    for path in sorted(HERE.glob("*.toml")):
        for entry in tomllib.loads(path.read_text())["mutant"]:
            tests = tuple(f"tests/{test}" for test in entry.pop("tests"))
            found.append(Mutant(room=path.stem, tests=tests, **entry))
    return [one for one in found if only in f"{one.room} {one.file}"]


def outcome(copy: Path, tests: Sequence[str], *, cached: bool) -> int:
    """Exit code of pytest over tests of a copy, in a process of its own; negative by a signal."""
    child = os.fork()
    if not child:
        try:
            signal.alarm(LONGEST)
            os.chdir(copy)
            log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.dont_write_bytecode = not cached
            sys.path.insert(0, str(copy / "src"))
            os.environ["PYTHONPATH"] = str(copy / "src")
            os._exit(pytest.main([*OPTIONS, f"--basetemp={copy}-{os.getpid()}", *tests]))
        finally:
            traceback.print_exc()
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def judged(base: Path, mutant: Mutant) -> tuple[Mutant, str]:
    """The mutant, and what became of it: killed, survived or, if no test could run, broken."""
    copy = Path(f"{base} of {os.getpid()}")  # this worker's own
    if not copy.exists():
        shutil.copytree(base, copy)
    path = copy / "src/ahl" / mutant.file
    source, times = path.read_text(), path.stat()
    path.write_text(mutant.applied_to(source))
    os.utime(path, (times.st_atime, times.st_mtime + 10))  # not the bytecode of the original
    code = outcome(copy, mutant.tests, cached=False)
    path.write_text(source)
    os.utime(path, (times.st_atime, times.st_mtime))
    known = {0: "survived", 1: "killed", -signal.SIGALRM: "killed"}
    return mutant, known.get(code, "broken")


def sound(base: Path, test: str) -> tuple[str, bool]:
    """A test, and whether it passes without a defect."""
    return test, outcome(base, [test], cached=True) == 0


def run(base: Path, mutants: Sequence[Mutant], workers: int) -> bool:
    """Judge the mutants and print what survives and the counts; True if enough are killed."""
    for mutant in mutants:
        mutant.applied_to((base / "src/ahl" / mutant.file).read_text())
    found: Counter[tuple[str, str]] = Counter()
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        tests = sorted({test for mutant in mutants for test in mutant.tests})
        print(f"{len(mutants)} mutants; first the tests without them", flush=True)
        results = pool.imap_unordered(partial(sound, base), tests)
        if failing := sorted(test for test, passes in results if not passes):
            sys.exit(f"These do not pass without a defect: {', '.join(failing)}")
        for mutant, became in pool.imap_unordered(partial(judged, base), mutants):
            found[mutant.room, became] += 1
            if became != "killed":
                print(f"{became}: {mutant.file}: {mutant.breaks}", flush=True)
    for room, total in Counter(mutant.room for mutant in mutants).items():
        print(f"{room:14}{found[room, 'killed']:4} of {total:3} killed")
    killed = sum(count for (_, became), count in found.items() if became == "killed")
    print(f"{'all':14}{killed:4} of {len(mutants):3} killed")
    return killed >= ENOUGH * len(mutants) and all(became != "broken" for _, became in found)


def main() -> int:
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    for name in LOADED:
        import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "copy"
        for part in ("src", "tests", "docs"):
            shutil.copytree(ROOT / part, base / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", base)
        mutants = read_mutants("".join(sys.argv[1:]))
        return int(not run(base, mutants, int(os.environ.get("WORKERS", "2"))))


if __name__ == "__main__":
    sys.exit(main())
