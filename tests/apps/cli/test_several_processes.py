"""`ahl train` under torchrun."""

import subprocess
import sys

import pytest

from commands import run, train_options
from small_images import write_class
from two_processes import run_two


@pytest.mark.parametrize("finetune", [True, False])
def test_two_processes_write_one_model_and_speak_once(tmp_path, finetune):
    paths = write_class(tmp_path / "parts" / "good", "good", 12)
    write_class(tmp_path / "parts" / "dot", "dot", 3)
    paths[3].write_bytes(paths[3].read_bytes()[:-100])
    command = [
        *("train", tmp_path / "parts", "--output", tmp_path / "two.ahl"),
        *train_options(tmp_path),
        *(["--finetune"] if finetune else []),
    ]
    start = "import runpy, ahl.config.sections as s\n"
    if finetune:  # a few steps
        start += (
            "change = s.FinetuneConfig.__init__.__kwdefaults__\n"
            "change.update(epochs=1, steps=1, batch_size=6)\n"
        )
    script = tmp_path / "main.py"
    script.write_text(f"{start}runpy.run_module('ahl', run_name='__main__')\n")
    if finetune:
        torchrun = "-m torch.distributed.run --standalone --nproc-per-node 2"
        ended = [
            subprocess.run(
                [sys.executable, *torchrun.split(), script, *map(str, command)],
                capture_output=True,
                text=True,
                check=False,
            )
        ]
    else:
        ended = run_two((script, *command), (script, *command))
    stdout, stderr = ("".join(getattr(one, name) for one in ended) for name in ("stdout", "stderr"))
    assert not any(one.returncode for one in ended), stderr
    assert stderr.count("skipped good/003.png") == stdout.count("Trained on") == 1
    assert "14 images" not in stdout
    assert run("info", tmp_path / "two.ahl").stdout
