"""The loop: deterministic, resumable, and it learns."""

import numpy as np
import pytest
import torch

from ahl.errors import ConfigurationError, ResumeError
from ahl.pretrain import filters, loop, shards
from ahl.pretrain.batches import batch_at
from ahl.pretrain.config import PretrainConfig
from ahl.pretrain.loop import Pretraining, rate_at, read_state
from ahl.pretrain.shards import DrawnGroups, ShardFolder
from ahl.synthetic.groups import DEFECTIVE_PICTURES

CONFIG = PretrainConfig(shards=1, size=64, steps=4, groups=2, rate=1e-3, warmup=0.25)


@pytest.fixture(autouse=True)
def fewer_patches(monkeypatch):
    monkeypatch.setattr(filters, "PATCHES", 1000)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD", 5)
        folder = ShardFolder(root=tmp_path_factory.mktemp("drawn"), size=64, seed=0)
        folder.draw(0)
        yield DrawnGroups(folder, 1)


def trained(drawn, *, config=CONFIG, seed=0, checkpoint=None, resume=False, stop=None):
    told = []

    def report(step, terms):
        told.append((step, terms))
        if step == stop:
            raise KeyboardInterrupt

    state = read_state(checkpoint, config, seed) if resume else None
    run = Pretraining(config, drawn, seed, state)
    if stop is None:
        run.run(report, checkpoint)
    else:
        with pytest.raises(KeyboardInterrupt):
            run.run(report, checkpoint)
    return run, told


def test_the_same_seed_gives_the_same_weights(drawn):
    (first, told), (second, _), (other, _) = (trained(drawn, seed=s) for s in (0, 0, 1))
    assert [step for step, _ in told] == [1, 2, 3, 4]
    assert all(set(terms) == {"ranking", "few_shot", "prototypes"} for _, terms in told)
    assert first.backbone.describe() == second.backbone.describe()
    assert first.backbone.describe() != other.backbone.describe()


def test_a_killed_run_goes_on_to_the_same_weights(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "KEEP_EVERY", 2)
    whole, _ = trained(drawn)
    trained(drawn, checkpoint=tmp_path / "state", stop=3)
    resumed, told = trained(drawn, checkpoint=tmp_path / "state", resume=True)
    assert [step for step, _ in told] == [3, 4]
    assert resumed.backbone.describe() == whole.backbone.describe()


def test_another_run_is_not_gone_on_with(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "KEEP_EVERY", 2)
    trained(drawn, checkpoint=tmp_path / "state")
    with pytest.raises(ResumeError):
        trained(drawn, seed=1, checkpoint=tmp_path / "state", resume=True)


def test_it_learns(drawn):
    config = PretrainConfig(shards=1, size=64, steps=12, groups=5, rate=1e-3)
    _, told = trained(drawn, config=config)

    def loss(terms):
        return terms["ranking"] + terms["few_shot"] + 0.5 * terms["prototypes"]

    assert loss(told[-1][1]) < loss(told[0][1])


def test_terms_without_a_weight_are_not_taken(drawn):
    config = PretrainConfig(shards=1, size=64, steps=1, groups=2, ranking=0, few_shot=0)
    _, told = trained(drawn, config=config)
    assert set(told[0][1]) == {"prototypes"}


def test_no_step_leaves_the_filters_that_were_found(drawn):
    config = PretrainConfig(shards=1, size=64, steps=0, groups=2)
    (run, told), (same, _) = trained(drawn, config=config), trained(drawn, config=config)
    assert told == []
    assert run.backbone.describe() == same.backbone.describe()


def test_every_group_comes_once_an_epoch(drawn):
    seen = torch.cat([batch_at(drawn, step, size=5, seed=0).groups for step in range(3)])
    for epoch in seen.view(3, 5):
        assert sorted(epoch.tolist()) == [0, 1, 2, 3, 4]


def test_masks_turn_with_their_pictures(drawn):
    batch = batch_at(drawn, 1, size=5, seed=0)
    for group, pictures, masks in zip(batch.groups, batch.pictures, batch.masks, strict=True):
        own, marks = drawn[int(group)]
        turned = [
            (turn, mirrored)
            for turn in range(4)
            for mirrored in (False, True)
            if np.array_equal(moved(own, turn, mirrored), pictures.permute(0, 2, 3, 1).numpy())
        ]
        assert turned
        found = masks.numpy()[list(DEFECTIVE_PICTURES)]
        assert any(np.array_equal(moved(marks, *way), found) for way in turned)
        assert not masks[[0, 1, 2, 3, 7]].any()


def moved(pictures, turn, mirrored):
    pictures = np.rot90(pictures, turn, axes=(1, 2))
    return pictures[:, :, ::-1] if mirrored else pictures


def test_the_rate_rises_then_falls():
    config = PretrainConfig(steps=100, rate=1e-3, warmup=0.1)
    rates = [rate_at(step, config) for step in range(100)]
    assert int(np.argmax(rates)) == 10 or int(np.argmax(rates)) == 9
    assert max(rates) <= 1e-3
    assert rates[0] < 1e-4
    assert rates[-1] < 1e-6


@pytest.mark.parametrize(
    "wrong",
    [
        {"shards": 0},
        {"size": 32},
        {"groups": 1},
        {"rate": 0},
        {"few_shot": -1},
        {"ranking": float("inf")},
    ],
)
def test_constants_that_cannot_work_are_refused(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        PretrainConfig(**wrong)


def test_some_term_must_weigh():
    with pytest.raises(ConfigurationError, match="more than 0"):
        PretrainConfig(ranking=0, few_shot=0, prototypes=0)


def test_no_group_comes_twice_in_a_batch(drawn):
    for step in range(6):
        groups = batch_at(drawn, step, size=2, seed=0).groups.tolist()
        assert len(set(groups)) == 2


def test_a_training_that_runs_away_stops_and_keeps_its_last_state(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "KEEP_EVERY", 1)
    run = Pretraining(CONFIG, drawn, 0)
    told = []

    def report(step, terms):
        told.append(step)
        if step == 2:
            with torch.no_grad():
                next(run.backbone.parameters()).fill_(float("nan"))

    with pytest.raises(ConfigurationError, match=r"step 3.*--rate"):
        run.run(report, tmp_path / "state")
    assert told == [1, 2]
    assert read_state(tmp_path / "state", CONFIG, 0).done == 2
