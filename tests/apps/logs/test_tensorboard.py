"""A run in TensorBoard, its files read back."""

import math
import sys

import pytest

from ahl._common.errors import ConfigurationError
from ahl._common.history import EpochRecord
from ahl.apps.logs import TensorBoardLog


def record(epoch, loss):
    return EpochRecord(
        epoch=epoch,
        support_losses=(loss, loss + 2),
        query_losses=(3.0, math.nan),
        importance=(1, 0),
    )


def scalars(folder):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = reading.EventAccumulator(str(folder))
    found.Reload()
    return {
        tag: [(event.step, event.value) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def test_curves_are_there_before_the_run_is_over(tmp_path):
    pytest.importorskip("tensorboard")
    log = TensorBoardLog(tmp_path / "runs" / "a")
    log.on_start({"seed": 0, "config": {"learning": {"epochs": 2}}})
    log.on_epoch(record(1, 1.0), 2)
    found = scalars(tmp_path / "runs" / "a")
    assert found["support_loss/mean"] == [(1, 2.0)]
    assert found["support_loss/base_model_2"] == [(1, 3.0)]
    assert found["importance/base_model_1"] == [(1, 1.0)]
    assert math.isnan(found["query_loss/base_model_2"][0][1])
    log.on_end(None)


def test_a_run_replaces_the_curves_of_the_one_before(tmp_path):
    pytest.importorskip("tensorboard")
    log = TensorBoardLog(tmp_path)
    with log.run({}):
        for epoch in (1, 2, 3):
            log.on_epoch(record(epoch, 1.0), 3)
    log.on_start({})
    log.on_resumed([record(1, 5.0)], 3)
    log.on_epoch(record(2, 6.0), 3)
    log.on_end(KeyboardInterrupt())
    assert scalars(tmp_path)["support_loss/base_model_1"] == [(1, 5.0), (2, 6.0)]


def test_a_file_is_no_folder(tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "a").write_text("")
    with pytest.raises(ConfigurationError, match="a is a file"):
        TensorBoardLog(tmp_path / "a")


def test_without_the_package_one_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigurationError, match=r'pip install "ahl\[tensorboard\]"'):
        TensorBoardLog(tmp_path)
