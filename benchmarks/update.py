"""The effect of one piece of feedback on all other images.

Each of a trained model's lowest-scoring test defects is reported as missed, one at a time, and each
of its highest-scoring good test images as a false alarm; all other test images are scored before
and after.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from ahl._common.types import GOOD
from ahl.data import open_dataset
from ahl.data.images.reading import content_hash
from ahl.data.images.sources import LabelledImage
from ahl.model.trained import TrainedModel
from ahl.pipeline.settings import RunSettings
from ahl.pipeline.update import update_with_images
from ahl.scoring.metrics import auroc
from ahl.scoring.torch_scorer import TorchScorer


def ranks(scores: np.ndarray) -> np.ndarray:
    """Share of the other scores that lie below each, 0 to 1."""
    return np.argsort(np.argsort(scores)) / (len(scores) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, help="what the model was trained on a part of")
    parser.add_argument("--images", type=int, default=5, help="missed ones, and as many alarms")
    options = parser.parse_args()
    model, device = TrainedModel.load(options.model), torch.device("cpu")
    dataset = open_dataset(options.data)
    known = model.manifest.hashes
    tested = [
        sample
        for sample in [*dataset.test_normals, *dataset.anomalies]
        if content_hash(sample.source) not in known
    ]
    scorer = TorchScorer(model, device)
    found = [maps for _, maps in scorer.prepared([s.source for s in tested])]
    maps = [own for own in found if not isinstance(own, str)]
    labels = np.array([sample.is_anomaly for sample in tested])
    before = model.score_maps(maps).score.numpy()
    order = np.argsort(before)
    missed = [i for i in order if labels[i]][: options.images]
    alarms = [i for i in order[::-1] if not labels[i]][: options.images]
    print(f"{len(tested)} test images, AUROC {auroc(labels, before):.4f}")
    for title, chosen in (("missed", missed), ("false alarm", alarms)):
        rows = []
        for i in chosen:
            sample = tested[i]
            image = LabelledImage(
                source=sample.source,
                name=sample.name,
                class_name=sample.class_name if labels[i] else GOOD,
            )
            start = time.perf_counter()
            result = update_with_images(
                model,
                [image] if labels[i] else [],
                [] if labels[i] else [image],
                RunSettings(device=str(device)),
            )
            seconds = time.perf_counter() - start
            # The corrected model remembers other patches: what its heads see is made anew.
            again = TorchScorer(result.model, device).prepared([s.source for s in tested])
            after = result.model.score_maps([m for _, m in again if not isinstance(m, str)])
            rest = np.arange(len(tested)) != i
            fellows = labels[rest] == labels[i]
            pair = [ranks(s[rest])[fellows].mean() for s in (before, after.score.numpy())]
            both = [auroc(labels[rest], s[rest]) for s in (before, after.score.numpy())]
            own = before[i], float(after.score[i])
            rows.append([*own, *pair, *both, seconds])
            print(
                f"{title} {sample.name}: {own[0]:.2f} to {own[1]:.2f}, limit "
                f"{result.limit_before:.2f} to {result.limit_after:.2f}; fellows' mean rank "
                f"{pair[0]:.4f} to {pair[1]:.4f}; AUROC of the others {both[0]:.4f} to "
                f"{both[1]:.4f}; {'worsens' if result.worsens else 'taken'}; {seconds:.1f} s",
                flush=True,
            )
        mean = np.mean(rows, axis=0)
        print(
            f"{title}, mean of {len(rows)}: {mean[0]:.2f} to {mean[1]:.2f}; fellows "
            f"{mean[2]:.4f} to {mean[3]:.4f}; AUROC {mean[4]:.4f} to {mean[5]:.4f}; {mean[6]:.1f} s"
        )


if __name__ == "__main__":
    main()
