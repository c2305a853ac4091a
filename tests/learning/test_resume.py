"""A killed run goes on from its last epoch, with the same final result."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ahl import AHL, RunSettings
from ahl._common.callbacks import Callback
from ahl._common.errors import ModelFileError, ResumeError
from ahl._common.tensor_file import read_tensor_file, write_tensor_file
from commands import run, small_backbone
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config


def command(data: Path, output: Path, cache: Path) -> list[str]:
    return [
        *("train", str(data), "--output", str(output), *small_backbone(output.parent)),
        *("--image-size", "64", "--epochs", "8", "--threads", "1"),
        *("--cache", str(cache), "--json"),
    ]


def epochs_done(checkpoint: Path) -> int:
    try:
        return read_tensor_file(checkpoint, "checkpoint")[0]["epoch"] if checkpoint.exists() else 0
    except ModelFileError:  # replaced between safetensors' reading of its header and its tensors
        return 0


def test_a_run_killed_by_sigkill_resumes_to_the_same_model(inspection_folder, tmp_path):
    whole = tmp_path / "whole.ahl"
    run(*command(inspection_folder, whole, tmp_path / "cache-a"))
    killed = tmp_path / "killed.ahl"
    checkpoint = tmp_path / "killed.ahl.checkpoint"
    arguments = command(inspection_folder, killed, tmp_path / "cache-b")
    process = subprocess.Popen(
        [sys.executable, "-m", "ahl", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        limit = time.monotonic() + 120
        while epochs_done(checkpoint) < 2 and process.poll() is None:
            assert time.monotonic() < limit, "the run made no progress"
            time.sleep(0.01)
        assert process.poll() is None, "the run ended before it could be killed"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert not killed.exists()
    assert 2 <= epochs_done(checkpoint) < 8
    run(*arguments, "--resume")
    assert killed.read_bytes() == whole.read_bytes()
    assert not checkpoint.exists()


class StopAt(Callback):
    """Raises in the middle of a run, as a kill would."""

    def __init__(self, epoch=None, step=None):
        self.epoch, self.step, self.notes = epoch, step, []
        self.told, self.resumed = [], []

    def on_resumed(self, history, epochs):
        self.resumed += history

    def on_epoch(self, record, epochs):
        self.told.append(record)
        if record.epoch == self.epoch:
            raise KeyboardInterrupt

    def on_stage(self, stage, done, total):
        if stage.startswith("fine-tuning") and done == self.step:
            raise KeyboardInterrupt

    def on_note(self, text):
        self.notes.append(text)


def train(path: Path, *, checkpoint="c", resume=False, callback=None, **options) -> AHL:
    settings = {"backbone": TinyBackbone(), "config": tiny_config()}
    run = RunSettings(
        checkpoint=None if checkpoint is None else path / checkpoint,
        resume=resume,
        callback=callback or Callback(),
    )
    detector = AHL(**{**settings, **options}, run=run)
    good = [small_image("good", i) for i in range(10)]
    return fit(detector, good, [small_image("dot", i) for i in range(3)])


@pytest.mark.parametrize("epoch", [1, 5, 6, 7])
def test_every_epoch_can_be_resumed_from(tmp_path, epoch):
    train(tmp_path, checkpoint=None).save(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callback=StopAt(epoch))
    callback = StopAt()
    resumed = train(tmp_path, resume=True, callback=callback)
    resumed.save(tmp_path / "resumed")
    assert callback.notes == [f"Resuming after epoch {epoch}."]
    assert [record.epoch for record in callback.resumed] == list(range(1, epoch + 1))
    assert (*callback.resumed, *callback.told) == resumed.model_.history
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "whole").read_bytes()
    assert not (tmp_path / "c").exists()


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callback=StopAt(3))
    for other in ({"seed": 1}, {"heads": "devnet"}, {"config": tiny_config(inner_steps=4)}):
        with pytest.raises(ResumeError, match="other images, settings or versions"):
            train(tmp_path, resume=True, **other)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callback=StopAt(2))
    content = (tmp_path / "c").read_bytes()
    (tmp_path / "c").write_bytes(content[:-5])
    with pytest.raises(ResumeError, match="without --resume"):
        train(tmp_path, resume=True)


@pytest.mark.parametrize(
    "group", ["parameters", "outer-first", "predictor", "steps", "past_scores", "average"]
)
@pytest.mark.parametrize("damage", ["gone", "short", "nan", "header"])
def test_a_checkpoint_of_another_form_is_refused_in_a_sentence(tmp_path, group, damage):
    """Its checksum is right: somebody wrote it so."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callback=StopAt(6))
    header, groups = read_tensor_file(tmp_path / "c", "checkpoint")
    name = min(groups[group])
    tensor = groups[group].pop(name)
    if damage == "short":
        groups[group][name] = tensor.reshape(-1)[:1].clone().expand(3, 7).contiguous()
    elif damage == "nan":
        groups[group][name] = tensor * float("nan")
    elif damage == "header":
        header["epoch"] = None
    write_tensor_file(tmp_path / "c", "checkpoint", header, groups)
    with pytest.raises(ResumeError, match="Start again without --resume"):
        train(tmp_path, resume=True)


def test_resuming_without_a_checkpoint_starts_anew(tmp_path):
    callback = StopAt()
    train(tmp_path, resume=True, callback=callback).save(tmp_path / "model")
    assert callback.notes == []


@pytest.mark.parametrize("step", [1, 3])
def test_fine_tuning_resumes_too(tmp_path, step):
    train(tmp_path, checkpoint=None, finetune=True).save(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, finetune=True, callback=StopAt(step=step))
    train(tmp_path, finetune=True, resume=True, callback=StopAt()).save(tmp_path / "resumed")
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "whole").read_bytes()
    assert list(tmp_path.glob("c*")) == []
