"""What a person said of an image, beside what the model had said; a log of one JSON line each."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args

from ahl._common.errors import ConfigurationError, DataError
from ahl._common.types import GOOD
from ahl.model.decision import Verdict

LOG: Final = "marks.jsonl"
"""Name of the log within a review folder."""

LONGEST_KIND: Final = 64
"""Characters of a kind's name."""

SUFFIXES: Final = (".png", ".jpg", ".bmp", ".tif", ".webp", ".gif", ".npy")
"""Of the files that are kept."""

Outcome = Literal["missed", "false_alarm", "right"]
"""How a model did: it missed a defect, took a good image for one, or neither."""

_KIND: Final = re.compile(r"\w[\w .+-]*")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
# Not a kind in any case: good ones, masks, the log, and what Windows takes for devices.
_RESERVED: Final = frozenset(
    {GOOD, "ground_truth", "marks", "con", "prn", "aux", "nul"}
    | {f"{device}{number}" for device in ("com", "lpt") for number in range(10)}
)


def check_kind(text: str) -> str:
    """The name of a kind of defect as a folder's name that means the same everywhere.

    Args:
        text: as a person wrote it.

    Raises:
        ConfigurationError: if it is none, or could be the name of anything but one folder.
    """
    kind = unicodedata.normalize("NFC", text).strip()
    if len(kind) > LONGEST_KIND or not _KIND.fullmatch(kind) or kind.endswith("."):
        raise ConfigurationError(
            f"Name the kind of defect with letters, digits, spaces and ._+-, a letter or digit "
            f"first, at most {LONGEST_KIND} characters."
        )
    if kind.casefold().split(".")[0].strip() in _RESERVED:
        raise ConfigurationError(f"{kind} cannot be the name of a kind of defect; choose another.")
    return kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One image, what it is, and what the model said of it.

    Attributes:
        time: when it was said, ISO 8601, UTC.
        sha256: of the image's file.
        suffix: of the file as it is kept.
        name: that the image came with.
        class_name: `"good"`, or the kind of defect.
        score: that the model gave it.
        probability: likewise; None if the model is not calibrated.
        verdict: likewise; None if it has no threshold.
        anomalous: whether the score lay above the threshold, likewise.
        model: hash of the model's content.
    """

    time: str
    sha256: str
    suffix: str
    name: str
    class_name: str
    score: float
    probability: float | None
    verdict: Verdict | None
    anomalous: bool | None
    model: str

    @property
    def file(self) -> str:
        """Where the image is kept, within the review folder."""
        return f"{self.class_name}/{self.sha256}{self.suffix}"

    @property
    def outcome(self) -> Outcome:
        """How the model did; without a threshold, probability 0.5 takes its place."""
        anomalous = self.anomalous
        if anomalous is None:
            anomalous = None if self.probability is None else self.probability > 0.5
        if self.class_name == GOOD:
            return "right" if anomalous is False else "false_alarm"
        return "right" if anomalous else "missed"

    def line(self) -> str:
        """As a line of the log."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read a line of the log.

        Raises:
            KeyError, TypeError, ValueError, AHLError: if it is none.
        """
        values: Mapping[str, Any] = json.loads(line)
        mark = cls(**values)
        texts = (mark.time, mark.sha256, mark.suffix, mark.name, mark.class_name, mark.model)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a text is none")
        if mark.class_name != GOOD and check_kind(mark.class_name) != mark.class_name:
            raise ValueError("the kind is none")
        if not _SHA256.fullmatch(mark.sha256) or mark.suffix not in SUFFIXES:
            raise ValueError("the file's name is none")
        if not isfinite(mark.score) or not (mark.probability is None or 0 <= mark.probability <= 1):
            raise ValueError("a number is none")
        if mark.verdict not in (None, *get_args(Verdict)):
            raise ValueError("the verdict is none")
        if mark.anomalous not in (None, True, False):
            raise ValueError("the decision is none")
        return mark


def read_marks(folder: Path) -> list[Mark]:
    """The last thing that was said of each image that a review folder keeps.

    Lines that are no marks are left out: the last one may be cut off. So are marks whose image is
    not where they say.

    Args:
        folder: as `ReviewStore` fills it.

    Returns:
        one mark an image, in the order of the log.

    Raises:
        DataError: if the log is missing or cannot be read.
    """
    try:
        text = (folder / LOG).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read as a review folder: {error.strerror} ({LOG}). Name the one "
            "of `ahl serve --review-dir`."
        ) from None
    marks: dict[str, Mark] = {}
    for line in text.split("\n"):
        try:
            mark = Mark.from_line(line)
        except (KeyError, TypeError, ValueError, ConfigurationError):
            continue
        marks.pop(mark.sha256, None)
        marks[mark.sha256] = mark
    return [mark for mark in marks.values() if (folder / mark.file).is_file()]
