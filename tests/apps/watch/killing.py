"""Run by test_kills.py: watches in processes that are killed, started again, and killed again.

Between two of them somebody takes away what has been moved, and the camera uses its names again.
"""

import errno
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from fake_scorer import WORDS, Site, files_of

from ahl.apps.watch import mover


class Stage:
    def __init__(self, root: Path, other: Path) -> None:
        self.site = Site(root, other)
        self.root = root
        self.written: list[str] = []
        self.taken: list[str] = []

    def camera(self, count: int) -> None:
        for number in range(count):
            path = self.site.folder / f"line{number % 2}" / f"{number:03d}.png"
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                word = WORDS[len(self.written) % len(WORDS)]
                self.written.append(f"{word} {len(self.written)}.")
                path.write_text(self.written[-1])

    def consumer(self) -> None:
        for path, content in self.site.moved().items():
            if not Path(path).name.startswith("."):
                self.taken.append(content)
                Path(path).unlink()

    def child(self, *, kill_at: int = 0, kill_after: float = 0.0) -> bool:
        """Watch once in a process of its own; whether it came to its end."""
        process = os.fork()
        if not process:
            steps = 0

            def at(step: str) -> None:
                nonlocal steps
                steps += 1
                if steps == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

            try:
                self.site.watcher(at=at).run_once()
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        if kill_after:
            time.sleep(kill_after)
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        assert status in (0, signal.SIGKILL), status
        return status == 0

    def check(self) -> None:
        assert self.child()
        self.consumer()
        assert sorted(self.taken) == sorted(self.written), (self.taken, self.written)
        assert not self.site.waiting()
        assert not self.site.moved(), "a copy was left behind"
        state = files_of(self.site.folder / ".ahl-watch")
        assert not [path for path in state if not path.endswith("lock")], state
        lines = self.site.lines()
        assert len(lines) == len(self.written), lines
        assert len({line["sha256"] for line in lines}) == len(lines)
        for line in lines:
            assert Path(line["path"]).stem in Path(line["moved_to"]).stem


def at_every_step(root: Path, other: Path, steps: int) -> None:
    os.fsync = lambda descriptor: None  # against a loss of power, and slow
    ended = 0
    for first in range(1, steps):
        stage = Stage(root, other)
        stage.site.log.unlink(missing_ok=True)
        stage.camera(2)
        ended += stage.child(kill_at=first)
        if first % 2:
            stage.consumer()
            stage.camera(2)
        stage.child(kill_at=1 + first % 4)
        stage.check()
    assert 0 < ended < steps - 1, "kills must lie before the end and reach it"


def at_any_moment(root: Path, other: Path, seed: int) -> None:
    random_times = random.Random(seed)
    stage = Stage(root, other)
    killed = 0
    for round_ in range(25):
        if round_ < 20:
            stage.camera(12)
        killed += not stage.child(kill_after=random_times.uniform(0.001, 0.08))
        stage.consumer()
    assert killed > 5
    stage.check()


def copied_always(source: Path, target: Path) -> None:
    """As if the watched folder lay on a file system of its own."""
    if "in" in source.parts and "in" not in target.parts:
        raise OSError(errno.EXDEV, "")
    RENAME(source, target)


RENAME = mover.rename_new

if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    if settings["copied"]:
        mover.rename_new = copied_always
    roots = Path(settings["root"]), Path(settings["other"])
    if settings["steps"]:
        at_every_step(*roots, settings["steps"])
    else:
        at_any_moment(*roots, settings["seed"])
