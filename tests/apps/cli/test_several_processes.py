"""`ahl train` under torchrun."""

import subprocess
import sys

import pytest

from commands import run, small_backbone
from small_images import write_class
from two_processes import run_two

IMPATIENT = (
    "from ahl._common import files; from ahl.apps.cli import main; files.SEEN_WITHIN = 0.5; main()"
)


@pytest.fixture
def parts(tmp_path):
    """Forty good images, so that both processes have a batch of them, and some to skip."""
    folder = tmp_path / "parts"
    paths = write_class(folder / "good", "good", 40)
    write_class(folder / "dot", "dot", 3)
    (folder / "good" / "copy.png").write_bytes(paths[0].read_bytes())
    (folder / "good" / "half.png").write_bytes(paths[3].read_bytes()[:-100])
    return folder


def train(parts, output, cache):
    options = ("--image-size", 64, "--epochs", 2, "--cache", cache)
    return ("train", parts, "--output", output, *small_backbone(parts.parent), *options)


def test_two_processes_write_the_same_bytes_as_one(parts, tmp_path):
    run(*train(parts, tmp_path / "one.ahl", tmp_path / "one"))
    command = train(parts, tmp_path / "two.ahl", tmp_path / "two")
    torchrun = "-m torch.distributed.run --standalone --nproc-per-node 2 -m ahl"
    ended = subprocess.run(
        [sys.executable, *torchrun.split(), *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "two.ahl").read_bytes() == (tmp_path / "one.ahl").read_bytes()
    assert "shared by 2 processes" in ended.stderr
    assert ended.stderr.count("skipped good/half.png") == ended.stdout.count("Trained on") == 1
    # Of the 40 images in two batches each extracted one, into its own shard.
    stored = [sorted((tmp_path / name).rglob("*.npy")) for name in ("one", "two")]
    assert len(stored[1]) > len(stored[0])


def test_processes_that_do_not_share_their_cache_are_told_so_once(parts, tmp_path):
    first, second = run_two(
        *(
            ("-c", IMPATIENT, *train(parts, tmp_path / "model.ahl", tmp_path / f"cache{rank}"))
            for rank in range(2)
        )
    )
    assert 0 not in (first.returncode, second.returncode)
    said = first.stderr + second.stderr
    assert said.count("ahl: ") == said.count("on a disk that all machines share") == 1
    assert "Traceback" not in said
    assert not (tmp_path / "model.ahl").exists()
