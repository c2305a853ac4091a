"""The loop over a watched folder: look, score what is complete, move it by its verdict."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ahl._common.errors import ConfigurationError, DataError, ImageError
from ahl._common.text import first_line
from ahl.apps.watch.arrivals import Arrival, Arrivals
from ahl.apps.watch.mover import ChangedError, Mover
from ahl.apps.watch.new_names import free_name
from ahl.data.images.variety import LOOKED_AT, notes_on_numbers
from ahl.scoring.prediction import Prediction
from ahl.scoring.scorer import Scorer
from ahl.scoring.sheet import draw_sheet, picture_name
from ahl.scoring.words import why_in_words

_SLICE: Final = 0.2  # seconds between two looks at whether to stop
_AFTER_ERROR: Final = 10.0  # seconds until a share that failed is tried again

OK, REJECT, UNCERTAIN, UNREADABLE, LEFT = "ok", "reject", "uncertain", "unreadable", "left in place"
"""Keys of `Watcher.counts`; `LEFT` files cannot be opened or moved, and stay where they are."""


@dataclass(frozen=True, kw_only=True)
class Destinations:
    """The folders that files are moved to.

    Attributes:
        ok: for normal images.
        reject: for anomalous ones.
        uncertain: for those too close to call; None sends them to `ok` or `reject`, by the side of
            the threshold that they lie on.
        unreadable: for files that do not decode.
    """

    ok: Path
    reject: Path
    uncertain: Path | None
    unreadable: Path

    def of(self, prediction: Prediction) -> Path:
        """The folder for an image, by the prediction of a model with a threshold."""
        if prediction.score is None:
            return self.unreadable
        if prediction.verdict == "uncertain" and self.uncertain is not None:
            return self.uncertain
        return self.reject if prediction.anomalous else self.ok

    def all(self) -> tuple[Path, ...]:
        """All folders, each once."""
        given = (self.ok, self.reject, self.uncertain, self.unreadable)
        return tuple(dict.fromkeys(path for path in given if path is not None))

    def check(self, watched: Path) -> None:
        """Check that files can be moved to these folders.

        Raises:
            ConfigurationError: if one is the watched folder itself, or a file, or `ok` and
                `reject` are one folder.
        """
        for path in self.all():
            if path.resolve() == watched.resolve():
                raise ConfigurationError(
                    f"{path} is the watched folder itself; give another one to move files to."
                )
            if path.exists() and not path.is_dir():
                raise ConfigurationError(f"{path} is a file; name a folder to move files to.")
        if self.ok.resolve() == self.reject.resolve():
            raise ConfigurationError("--ok and --reject are the same folder; give two.")


class Watcher:
    """Scores the images that arrive in a folder, and moves them.

    Args:
        scorer: scores images; its model has a threshold.
        arrivals: the files of the watched folder.
        mover: moves them.
        destinations: folders that they are moved to.
        poll: seconds between two looks.
        on_moved: called with the log line of every file that was moved.
        on_warning: called with a sentence about each failure or oddity; the watch goes on.
        why: add to each line the reasons, and sentences on these and the most similar training
            images.
        heat_maps: folder for a heat map of each moved image, named after its new path; None
            draws none.
        clock: monotonic seconds.
        sleep: waits so many seconds.

    Attributes:
        counts: numbers of files by outcome: `OK`, `REJECT`, `UNCERTAIN`, `UNREADABLE`, `LEFT`.

    Raises:
        DataError: if the model has no threshold.
    """

    def __init__(
        self,
        scorer: Scorer,
        arrivals: Arrivals,
        mover: Mover,
        destinations: Destinations,
        *,
        poll: float,
        on_moved: Callable[[Mapping[str, Any]], None],
        on_warning: Callable[[str], None],
        why: bool = False,
        heat_maps: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if scorer.card.decision is None:
            raise DataError(
                "The model has no threshold to tell --ok from --reject: set one with `ahl "
                "threshold MODEL GOOD_IMAGES...` (for an exported model: in the model file, then "
                "export it again)."
            )
        self._scorer, self._arrivals, self._mover = scorer, arrivals, mover
        self._destinations = destinations
        self._poll, self._on_moved, self._on_warning = poll, on_moved, on_warning
        self._clock, self._sleep = clock, sleep
        self._why, self._heat_maps = why, heat_maps
        self._stopped = False
        self._warning = ""
        self._to_look_at = LOOKED_AT
        self.counts: Counter[str] = Counter()

    def stop(self) -> None:
        """Stop after the current file; safe to call from a signal handler."""
        self._stopped = True

    def run(self) -> None:
        """Watch until `stop` is called; an OSError becomes a warning, and is tried again."""
        while not self._stopped:
            try:
                self._recover()
                self._sweep()
                self._warning = ""
            except OSError as error:  # a share that is gone, a disk that is full
                self._warn(error)
                self._wait(max(self._poll, _AFTER_ERROR))
            else:
                self._wait(self._poll)

    def run_once(self) -> None:
        """Score and move the files that are there now, except those still being written.

        Raises:
            OSError: if a folder cannot be read or a file cannot be moved.
        """
        self._recover()
        self._sweep()
        first = self._arrivals.seen()
        while not self._stopped and self._pending(first):
            self._wait(self._poll)
            self._sweep()

    def _pending(self, first: Mapping[Path, Arrival]) -> bool:
        """True if a file that was there at first is unchanged and still to be moved."""
        return any(
            not one.left and one.signature == first[path].signature
            for path, one in self._arrivals.seen().items()
            if path in first and not one.changed()
        )

    def _recover(self) -> None:
        if (line := self._mover.recover()) is not None:
            self._announce(line)

    def _sweep(self) -> None:
        """Score and move all complete files."""
        due = self._arrivals.look(self._clock())
        for refusal in self._arrivals.refusals():
            self._on_warning(refusal)
        if not due:
            return
        paths, drawn = [one.path for one in due], self._heat_maps is not None
        self._look_at_numbers(paths[: self._to_look_at])
        for prediction in self._scorer.predict(paths, heat_maps=drawn, nearest=self._why):
            if self._stopped:
                return
            self._deal_with(due[prediction.index], prediction)

    def _look_at_numbers(self, paths: Sequence[Path]) -> None:
        """Warn once if the pixel values of the first images look odd, such as 12 bits in 16."""
        self._to_look_at -= len(paths)
        for note in notes_on_numbers(paths, self._scorer.card.bit_depth):
            self._to_look_at = 0
            self._on_warning(note)

    def _deal_with(self, arrival: Arrival, prediction: Prediction) -> None:
        if prediction.score is None and not arrival.tried:
            self._arrivals.postpone(arrival)
            return
        folder = self._destinations.of(prediction)
        try:
            line = self._mover.move(arrival, folder, self._facts(prediction))
        except ChangedError:
            self._arrivals.forget(arrival)
        except ImageError as error:  # unreadable to us, or the goal does not take its name
            if arrival.path.exists():
                self.counts[LEFT] += 1
                self._on_warning(f"{arrival.path} stays where it is: {error}.")
            self._arrivals.leave(arrival)
        else:
            self._arrivals.forget(arrival)
            self._announce(line)
            if prediction.heat_map is not None:
                self._draw(prediction, Path(line["moved_to"]), folder)

    def _draw(self, prediction: Prediction, moved_to: Path, goal: Path) -> None:
        """Draw a moved image's heat map; a failure is only a warning."""
        assert self._heat_maps is not None
        goal = goal.absolute()
        name = picture_name(goal.name, *moved_to.relative_to(goal).parts)
        try:
            depth = self._scorer.card.bit_depth
            file = free_name(self._heat_maps / f"{name}.png")
            draw_sheet(moved_to, moved_to.name, prediction, file, bit_depth=depth)
        except (ImageError, OSError) as error:
            self._on_warning(f"No heat map of {moved_to}: {first_line(error)}.")

    def _facts(self, prediction: Prediction) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        facts: dict[str, Any] = {"time": now, "model": self._scorer.card.sha256}
        if prediction.score is None:
            return {**facts, "error": prediction.error}
        names = ("score", "probability", "anomalous", "verdict")
        facts |= {name: getattr(prediction, name) for name in names}
        if self._why:
            card = self._scorer.card
            facts["why"] = prediction.to_json(why=card)["why"]
            facts["why_in_words"] = " ".join(why_in_words(prediction, card))
        return facts

    def _announce(self, line: Mapping[str, Any]) -> None:
        if "error" in line:
            self.counts[UNREADABLE] += 1
        elif line["verdict"] == "uncertain" and self._destinations.uncertain is not None:
            self.counts[UNCERTAIN] += 1
        else:
            self.counts[REJECT if line["anomalous"] else OK] += 1
        self._on_moved(line)

    def _warn(self, error: OSError) -> None:
        text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        if text != self._warning:
            self._on_warning(f"{text}. Trying again until it works.")
        self._warning = text

    def _wait(self, seconds: float) -> None:
        end = self._clock() + seconds
        while not self._stopped and (left := end - self._clock()) > 0:
            self._sleep(min(_SLICE, left))
