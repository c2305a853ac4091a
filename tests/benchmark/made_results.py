"""Results folders made up from a few numbers."""

import hashlib
from itertools import product

import numpy as np

from ahl.benchmark.methods import find_method
from ahl.benchmark.results import Results, ScoredTest, TrialResult

CONFIG = {"features": {"image_size": 224}}
CONTEXT = {
    "backbone": {"name": "mobilenetv2_100", "weights": "0" * 64, "arguments": {}, "stages": None},
    "device": "cpu",
    "ahl": "0.1.0",
    "torch": "2.14.1",
    "numpy": "2.4.6",
    "python": "3.11.7",
    "machine": "x86_64",
    "threads": 1,
}


def make_result(method="dra", auroc=0.9, **others):
    """A result; its key follows from the trial and the backbone."""
    try:
        known = find_method(method.split(",")[0])
        title, kind, labels = known.title, known.kind, known.labels
    except ValueError:
        title, kind, labels = method, "rival", "some classes"
    values = {
        "dataset": "HeadCT",
        "subset": "",
        "setting": "general",
        "known_class": "",
        "anomalies": 10,
        "seed": 0,
        "source": "",
        "method": method,
        "title": title,
        "kind": kind,
        "labels": labels,
        "auroc": auroc,
        "average_precision": auroc,
        "auroc_seen": auroc,
        "auroc_unseen": None,
        "fpr95": 1 - auroc,
        "normals": 75,
        "tested_normals": 25,
        "tested_anomalies": 30,
        "skipped": 0,
        "duplicates": 0,
        "seconds": 2.5,
        "peak_mebibytes": 500.0,
        "config": "abcdefabcdef",
        "context": CONTEXT,
        "finished": "2026-01-02T03:04:05+00:00",
        **others,
    }
    names = ("dataset", "subset", "setting", "known_class", "anomalies", "seed", "method")
    trial = repr([values[name] for name in names] + [values["context"], values["config"]])
    values.setdefault("key", hashlib.sha256(trial.encode("utf-8", "replace")).hexdigest()[:24])
    return TrialResult(**values)


def make_scores(distance, seed=0, normals=25, anomalies=30):
    """Scores of normal images around 0 and of anomalies around `distance`."""
    random = np.random.default_rng(seed)
    scores = np.concatenate([random.normal(0, 1, normals), random.normal(distance, 1, anomalies)])
    labels = np.repeat([0, 1], [normals, anomalies])
    return ScoredTest(
        names=[f"{number}.png" for number in range(len(labels))],
        classes=["good" if label == 0 else "dent" for label in labels],
        labels=labels,
        scores=scores,
    )


def write_results(path, results, *, scored=True):
    """A results folder without scores, or with scores that give the AUROC or so."""
    folder = Results(path)
    for result in results:
        folder.add(result, CONFIG, make_scores(3 * (result.auroc - 0.5), result.seed))
        if not scored:
            folder.scores_file(result.key).unlink()
    return folder


def grid(methods, datasets=("HeadCT", "SDD"), seeds=(0, 1), **others):
    """Records for every method, dataset and seed; the further down the list, the worse."""
    return [
        make_result(method, 0.95 - 0.03 * place - 0.01 * seed, dataset=dataset, seed=seed, **others)
        for (place, method), dataset, seed in product(enumerate(methods), datasets, seeds)
    ]
