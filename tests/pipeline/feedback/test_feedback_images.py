"""A feedback folder becomes missed defects and false alarms."""

from types import SimpleNamespace

import pytest

from ahl._common.errors import DataError
from ahl.pipeline.feedback.answers import feedback_images
from ahl.pipeline.feedback.store import FeedbackStore
from ahl.scoring.prediction import Prediction


def answer(folder, number, class_name, *, anomalous, verdict=None):
    data = b"\x89PNG" + bytes([number])
    prediction = Prediction(index=0, score=1.0, anomalous=anomalous, verdict=verdict)
    return FeedbackStore(folder, 10**6).add(data, "a", class_name, prediction, "")


def test_only_what_was_wrong_and_is_not_learnt(tmp_path):
    missed = answer(tmp_path, 0, "dot", anomalous=False)
    alarm = answer(tmp_path, 1, "good", anomalous=True)
    answer(tmp_path, 2, "good", anomalous=False)
    learnt = answer(tmp_path, 3, "bar", anomalous=False)
    relabelled = answer(tmp_path, 4, "good", anomalous=True)
    files = [
        SimpleNamespace(sha256=learnt.sha256, class_name="bar"),
        SimpleNamespace(sha256=relabelled.sha256, class_name="bar"),
    ]
    found = feedback_images(tmp_path, SimpleNamespace(files=files))
    assert [(one.source, one.class_name) for one in found.missed] == [
        (tmp_path / missed.file, "dot")
    ]
    assert [one.source for one in found.false_alarms] == [
        tmp_path / alarm.file,
        tmp_path / relabelled.file,
    ]
    assert (found.right, found.learnt) == (1, 1)


def test_nothing_to_learn_is_said(tmp_path):
    answer(tmp_path, 0, "good", anomalous=False)
    with pytest.raises(DataError, match="nothing to update the model with"):
        feedback_images(tmp_path, SimpleNamespace(files=[]))


def test_what_the_model_was_uncertain_of_teaches_it(tmp_path):
    defect = answer(tmp_path, 0, "dot", anomalous=True, verdict="uncertain")
    good = answer(tmp_path, 1, "good", anomalous=False, verdict="uncertain")
    answer(tmp_path, 2, "dot", anomalous=True, verdict="anomalous")
    answer(tmp_path, 3, "good", anomalous=False, verdict="normal")
    found = feedback_images(tmp_path, SimpleNamespace(files=[]))
    assert [one.source for one in found.missed] == [tmp_path / defect.file]
    assert [one.source for one in found.false_alarms] == [tmp_path / good.file]
    assert found.right == 2
    assert (defect.outcome, defect.teaches) == ("right", True)
