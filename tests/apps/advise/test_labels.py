"""What trains and what is tested where classes or images are left out."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from ahl._common.types import Sample
from ahl.apps.advise.labels import _splits


def trials(classes, groups):
    samples = [Sample(path=Path("x"), name=str(i), class_name=c) for i, c in enumerate(classes)]
    return SimpleNamespace(
        samples=samples,
        groups=np.array(groups),
        anomalous=np.array([sample.is_anomaly for sample in samples]),
        random=lambda *what: np.random.default_rng(0),
    )


def test_copies_of_what_is_tested_do_not_train():
    classes = ["good"] * 9 + ["dot"] * 4 + ["bar"] * 4
    groups = list(range(17))
    groups[0] = groups[13] = groups[9]  # a dot, once more as good and as a bar
    made = trials(classes, groups)
    names = np.array(classes)
    splits = _splits(made, [names == "dot", names == "bar"])
    assert [pool.tolist() for pool, _, _ in splits] == [[14, 15, 16], [10, 11, 12]]
    for pool, normals, tested in splits:
        own = made.groups[tested]
        assert not np.isin(made.groups[np.concatenate([pool, normals])], own).any()
        assert 0 not in normals


def test_one_class_is_left_out_by_its_images():
    splits = _splits(trials(["good"] * 9 + ["dot"] * 3, range(12)), [])
    assert sorted(np.concatenate([tested for _, _, tested in splits]).tolist()) == list(range(12))
    assert [len(pool) for pool, _, _ in splits] == [2, 2, 2]
