"""A scorer that reads its verdict in the file, and what a watch over folders is made of."""

import json
from pathlib import Path
from types import SimpleNamespace

from ahl.apps.watch.arrivals import Arrivals
from ahl.apps.watch.journal import Journal, ResultLog
from ahl.apps.watch.mover import Mover
from ahl.apps.watch.watcher import Destinations, Watcher
from ahl.scoring.prediction import Prediction

WORDS = ("normal", "anomalous", "unsure")


class FakeScorer:
    card = SimpleNamespace(decision=object(), sha256="0" * 64, bit_depth=16)

    def __init__(self, before=lambda path: None):
        self.before = before
        self.asked = []

    def predict(self, images, *, heat_maps=False, nearest=False):
        for index, path in enumerate(images):
            self.before(path)
            self.asked.append(path.name)
            word, _, end = path.read_text().partition(" ")
            if word not in WORDS or not end.endswith("."):
                yield Prediction(index=index, error="it is damaged or truncated")
                continue
            yield Prediction(
                index=index,
                score=float(len(end)),
                probability=0.5,
                anomalous=word != "normal",
                verdict="uncertain" if word == "unsure" else word,
            )


class Clock:
    """Time that passes only where somebody waits."""

    def __init__(self):
        self.now = 0.0
        self.between = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        if self.between:
            self.between.pop(0)()


class Site:
    """A folder to watch, those to move to, and a log; all below two roots."""

    def __init__(self, root: Path, other: Path | None = None):
        other = other or root
        self.folder, self.log = root / "in", root / "log.jsonl"
        self.folder.mkdir(exist_ok=True)
        self.destinations = Destinations(
            ok=other / "ok",
            reject=other / "reject",
            uncertain=other / "uncertain",
            unreadable=other / "reject" / "unreadable",
        )
        self.told, self.warned, self.clock = [], [], Clock()

    def watcher(self, *, at=lambda step: None, scorer=None, recursive=True, settle=0.0, **kept):
        destinations = kept.pop("destinations", self.destinations)
        state = self.folder / ".ahl-watch" / "moving.json"
        journal = Journal(state, watched=self.folder, goals=destinations.all())
        return Watcher(
            scorer or FakeScorer(),
            Arrivals(
                self.folder,
                recursive=recursive,
                settle=settle,
                patience=kept.pop("patience", 5 * settle),
                excluded=destinations.all(),
            ),
            Mover(
                journal,
                ResultLog(self.log),
                keep_lock=kept.pop("keep_lock", lambda: None),
                at=at,
            ),
            destinations,
            poll=kept.pop("poll", 1.0),
            on_moved=self.told.append,
            on_warning=self.warned.append,
            heat_maps=kept.pop("heat_maps", None),
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def waiting(self):
        return files_of(self.folder, but=".ahl-watch")

    def moved(self):
        """Contents by path, of all destinations, hidden files included."""
        found = {}
        for folder in self.destinations.all():
            found |= files_of(folder)
        return found

    def lines(self):
        text = self.log.read_text("ascii") if self.log.exists() else ""
        assert not text or text.endswith("\n")
        return [json.loads(line) for line in text.splitlines()]


def files_of(folder: Path, but: str = "") -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): path.read_text() for path in files if but not in path.parts}


class Killed(BaseException):
    """Stands in for a kill."""


def killed_at(step):
    """Raise at the first step, or the second..."""
    left = step

    def at(name):
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed(name)

    return at


def run(watcher, site, *between):
    """Run until all of these were called, one at each wait; then stop."""
    site.clock.between = [*between, watcher.stop]
    watcher.run()
