"""Answers: people's labels of images beside the model's verdicts, in a log of JSON lines."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from msgspec import Meta

from ahl._common.errors import ConfigurationError, DataError
from ahl._common.schema import Finite, Share, read_json, read_values
from ahl._common.types import GOOD
from ahl.data.images.finding import is_system
from ahl.data.images.pairing import is_ground_truth
from ahl.data.images.sources import LabelledImage, label_images
from ahl.model.decision import Verdict
from ahl.model.manifest import Manifest

LOG: Final = "marks.jsonl"
"""Name of the log within a feedback folder."""

LONGEST_KIND: Final = 64
"""Largest number of characters in the name of a kind of defect."""

Suffix = Annotated[str, Meta(pattern=r"^\.[a-z0-9]{1,8}$")]
"""Suffix of a stored file: the first of its format in `ahl.data.images.formats`."""

Outcome = Literal["missed", "false_alarm", "right"]
"""Outcome of a verdict: a missed defect, a false alarm, or right."""

_MOST_BYTES: Final = 255  # of a folder's name, in most file systems
_KIND: Final = re.compile(r"\w[\w .+-]*")
# Not a kind in any case: good ones, the log, and what Windows takes for devices.
_RESERVED: Final = frozenset(
    {GOOD, "marks", "con", "prn", "aux", "nul"}
    | {f"{device}{number}" for device in ("com", "lpt") for number in range(10)}
)


def check_kind(text: str) -> str:
    """Check and normalise the name of a kind of defect, to be a folder's name on every system.

    Args:
        text: the name as a person wrote it.

    Raises:
        ConfigurationError: if it is empty, too long, reserved, or not usable as a folder's name.
    """
    kind = unicodedata.normalize("NFC", text).strip()
    too_long = len(kind) > LONGEST_KIND or len(kind.encode(errors="replace")) > _MOST_BYTES
    if too_long or not _KIND.fullmatch(kind) or kind.endswith("."):
        raise ConfigurationError(
            f"Name the kind of defect with letters, digits, spaces and ._+-, a letter or digit "
            f"first, at most {LONGEST_KIND} characters of {_MOST_BYTES} bytes in all."
        )
    reserved = kind.casefold().split(".")[0].strip() in _RESERVED
    if reserved or is_system(kind) or is_ground_truth(kind):  # no class of `open_dataset`
        raise ConfigurationError(f"{kind} cannot be the name of a kind of defect; choose another.")
    return kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A person's label of an image, and the model's verdict on it.

    Attributes:
        time: time of the answer, ISO 8601, UTC.
        sha256: hash of the image's file.
        suffix: suffix of the stored file.
        name: name under which the image was sent.
        class_name: `"good"`, or the kind of defect.
        score: the model's score.
        probability: the model's probability of a defect; None without calibration.
        verdict: the model's verdict; None without a threshold.
        anomalous: True if the score was above the threshold; None without one.
        model: hash of the model's content.
    """

    time: str
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    suffix: Suffix
    name: str
    class_name: str
    score: Finite
    probability: Share | None
    verdict: Verdict | None
    anomalous: bool | None
    model: str

    def __post_init__(self) -> None:
        if self.class_name != GOOD and check_kind(self.class_name) != self.class_name:
            raise ValueError("the kind is not written as a folder's name")

    @property
    def file(self) -> str:
        """Path of the image within the feedback folder."""
        return f"{self.class_name}/{self.sha256}{self.suffix}"

    @property
    def outcome(self) -> Outcome:
        """Outcome of the verdict, or of probability 0.5 without one; wrong without both."""
        anomalous = self.anomalous
        if anomalous is None:
            anomalous = None if self.probability is None else self.probability > 0.5
        if self.class_name == GOOD:
            return "right" if anomalous is False else "false_alarm"
        return "right" if anomalous else "missed"

    @property
    def teaches(self) -> bool:
        """True if a model can learn from it: the verdict was wrong or uncertain."""
        return self.outcome != "right" or self.verdict == "uncertain"

    def line(self) -> str:
        """The answer as a line of the log."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read a line of the log.

        Raises:
            ValueError: if it is not a line that `line` wrote.
        """
        return read_values(read_json(line, dict[str, Any]), cls)


def read_answers(folder: Path) -> list[Answer]:
    """Read the last answer on each image of a feedback folder.

    Invalid lines are skipped, as the last one may be incomplete, and so are answers whose image is
    missing.

    Args:
        folder: a folder of a `FeedbackStore`.

    Returns:
        one answer per image, in the order of the log.

    Raises:
        DataError: if the log is missing or cannot be read.
    """
    try:
        text = (folder / LOG).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(
            f"{folder} is not a readable feedback folder: {error.strerror} ({LOG}). Name the "
            "folder given to `ahl serve --feedback-dir`."
        ) from None
    answers: dict[str, Answer] = {}
    for line in text.split("\n"):
        try:
            answer = Answer.from_line(line)
        except ValueError:
            continue
        answers.pop(answer.sha256, None)
        answers[answer.sha256] = answer
    return [answer for answer in answers.values() if place_of(folder, answer) is not None]


def place_of(folder: Path, answer: Answer) -> Path | None:
    """Path of an answer's image, in its folder or in that of an earlier answer; None if missing."""
    path = folder / answer.file
    others = (one for one in folder.glob(f"*/{path.name}") if one.is_file())
    return path if path.is_file() else next(others, None)


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """Images of a feedback folder, for one model.

    Attributes:
        missed: defects that were missed or uncertain, with their kinds.
        false_alarms: good images that were called anomalous or were uncertain.
        right: number of images with a right and certain verdict.
        learnt: number of images that the model was already trained on under the same label.
    """

    missed: list[LabelledImage]
    false_alarms: list[LabelledImage]
    right: int
    learnt: int


def feedback_images(folder: Path, manifest: Manifest) -> Feedback:
    """Read the images of a feedback folder from which a model can learn.

    Args:
        folder: a folder filled by `ahl serve --feedback-dir`.
        manifest: the model's manifest; images it was trained on are skipped, so that a folder can
            be used again.

    Raises:
        DataError: if it is not a feedback folder, or holds nothing to update the model by.
    """
    known = {(file.sha256, file.class_name) for file in manifest.files}
    missed, false_alarms = list[Answer](), list[Answer]()
    right = learnt = 0
    for answer in read_answers(folder):
        if (answer.sha256, answer.class_name) in known:
            learnt += 1
        elif not answer.teaches:
            right += 1
        else:
            (false_alarms if answer.class_name == GOOD else missed).append(answer)
    if not missed and not false_alarms:
        raise DataError(
            f"{folder} holds nothing to update the model with: the model got {right} of its "
            f"images right, and was already trained on {learnt}."
        )

    def labelled(some: Sequence[Answer]) -> list[LabelledImage]:
        paths = [place_of(folder, one) or folder / one.file for one in some]
        return label_images(paths, [one.class_name for one in some])

    return Feedback(
        missed=labelled(missed), false_alarms=labelled(false_alarms), right=right, learnt=learnt
    )
