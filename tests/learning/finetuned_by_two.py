"""A fine-tuned detector, by as many processes as there are: `... FOLDER MODEL`."""

import sys
from dataclasses import replace
from pathlib import Path

from ahl import AHL, RunSettings
from ahl._common.callbacks import Callback
from ahl._common.distributed import process_rank
from ahl.features.backbones.pretrained import TimmBackbone
from small_images import small_image
from tiny import fit, tiny_config


class StopInSecondEpoch(Callback):
    def on_stage(self, stage, done, total):
        if (stage, done) == ("fine-tuning the backbone", 3):
            raise KeyboardInterrupt


def finetuned(folder, *, resume=False, callback=None):
    config = tiny_config(epochs=2)
    detector = AHL(
        backbone=TimmBackbone(name="test_efficientnet"),
        config=replace(config, finetune=replace(config.finetune, epochs=3)),
        finetune=True,
        run=RunSettings(
            cache=folder / "cache",
            checkpoint=folder / "checkpoint",
            resume=resume,
            callback=callback or Callback(),
        ),
    )
    return fit(
        detector,
        [small_image("good", i) for i in range(8)],
        [small_image("dot", i) for i in range(3)],
    )


if __name__ == "__main__":
    detector = finetuned(Path(sys.argv[1]), resume=True)
    if process_rank() == 0:
        detector.save(sys.argv[2])
