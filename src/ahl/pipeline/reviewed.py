"""Images that people marked in a review, as what a model is corrected by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ahl._common.errors import DataError
from ahl.data.images.sources import LabelledImage, label_images
from ahl.model.manifest import Manifest
from ahl.pipeline.feedback.marks import Outcome, read_marks


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """What a review folder holds for a model.

    Attributes:
        missed: defects that were not found, with their kinds.
        false_alarms: good images that were taken for defects.
        right: marked images that the model had right.
        learnt: marked images that the model was trained on as what they are.
    """

    missed: list[LabelledImage]
    false_alarms: list[LabelledImage]
    right: int
    learnt: int


def reviewed_images(folder: Path, manifest: Manifest) -> Reviewed:
    """Read what a review says that a model got wrong.

    Args:
        folder: that `ahl serve --review-dir` filled.
        manifest: of the model: what it learnt is left out, so a folder may be used again.

    Raises:
        DataError: if it is no review folder, or holds nothing to correct the model by.
    """
    known = {(file.sha256, file.class_name) for file in manifest.files}
    wrong: dict[Outcome, tuple[list[Path], list[str]]] = {
        "missed": ([], []),
        "false_alarm": ([], []),
    }
    right = learnt = 0
    for mark in read_marks(folder):
        if (mark.sha256, mark.class_name) in known:
            learnt += 1
        elif mark.outcome == "right":
            right += 1
        else:
            paths, classes = wrong[mark.outcome]
            paths.append(folder / mark.file)
            classes.append(mark.class_name)
    missed, false_alarms = (label_images(*wrong[key]) for key in ("missed", "false_alarm"))
    if not missed and not false_alarms:
        raise DataError(
            f"{folder} holds nothing to correct the model by: of its marked images it had {right} "
            f"right, and was trained on {learnt}."
        )
    return Reviewed(missed=missed, false_alarms=false_alarms, right=right, learnt=learnt)
