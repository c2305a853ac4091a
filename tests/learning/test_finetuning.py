"""Stage 0: the backbone trained end to end."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ahl import AHL, RunSettings
from ahl._common.callbacks import Callback
from ahl._common.errors import ConfigurationError
from ahl._common.randomness import torch_generator
from ahl._common.types import ImageItem, Kind
from ahl.distributions.augment import default_generators
from ahl.heads import DRA, DevNet
from ahl.heads.losses import draw_prior
from ahl.learning import finetuning
from ahl.learning.finetuning import finetune_backbone
from ahl.learning.finetuning_batches import FinetuningImages, draw_images
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config


def items(kind, count):
    def item(i):
        return ImageItem(name=f"{kind}{i}", key=f"{kind}{i}", load=lambda: small_image(kind, i))

    return [item(i) for i in range(count)]


def run(backbone, detector=DRA, generators=None, config=None, normals=8):
    images = FinetuningImages(
        normals=items("good", normals),
        anomalies=items("dot", 3),
        generators=default_generators() if generators is None else generators,
    )
    return finetune_backbone(
        backbone,
        detector,
        images,
        config or tiny_config(),
        seed=0,
        device=torch.device("cpu"),
        callback=Callback(),
        checkpoint=None,
        resume=False,
    )


@pytest.mark.parametrize("detector", [DRA, DevNet])
def test_the_weights_move_and_the_given_backbone_stays(detector):
    backbone = TinyBackbone()
    before = backbone.filters.detach().clone()
    tuned = run(backbone, detector)
    assert torch.equal(backbone.filters, before)
    change = (tuned.filters - before).abs().max()
    assert 1e-5 < change < 0.05
    assert not tuned.training


def test_the_same_seed_gives_the_same_weights():
    assert torch.equal(run(TinyBackbone()).filters, run(TinyBackbone()).filters)


def test_without_generators_no_pseudo_anomalies_are_drawn():
    images = FinetuningImages(normals=items("good", 4), anomalies=items("dot", 2), generators=())
    loaders, kinds = draw_images(images, tiny_config(), 0)
    assert kinds.tolist() == [0, 0, 0, 1, 1, 1]
    assert len(loaders) == 5 + 6
    assert torch.isfinite(run(TinyBackbone(), generators=()).filters).all()


def test_batches_are_balanced_and_references_come_first():
    images = FinetuningImages(
        normals=items("good", 4), anomalies=items("dot", 2), generators=default_generators()
    )
    loaders, kinds = draw_images(images, tiny_config(), 7)
    assert kinds.tolist() == [Kind.NORMAL] * 2 + [Kind.ANOMALY] * 2 + [Kind.PSEUDO] * 2
    good = [small_image("good", i) for i in range(4)]
    bad = [small_image("dot", i) for i in range(2)]
    pixels = [load() for load in loaders]
    assert all(any(np.array_equal(p, g) for g in good) for p in pixels[:7])
    assert all(any(np.array_equal(p, b) for b in bad) for p in pixels[7:9])
    assert not any(np.array_equal(p, g) for p in pixels[9:] for g in good)
    assert all(np.array_equal(load(), p) for load, p in zip(loaders, pixels, strict=True))


def test_every_step_of_every_epoch_draws_its_own_batch(monkeypatch):
    seeds = []

    def kept(images, config, seed):
        seeds.append(seed)
        return draw_images(images, config, seed)

    monkeypatch.setattr(finetuning, "draw_images", kept)
    config = tiny_config()
    run(TinyBackbone(), config=config)
    assert len(set(seeds)) == len(seeds) == config.finetune.epochs * config.finetune.steps


def test_the_reference_is_the_mean_of_the_normals_drawn_for_it():
    """There is one normal image: the reference has its features, whatever else is in the batch."""
    found = []

    class Keeping(DRA):  # type: ignore[misc]
        def forward(self, parameters, statistics, maps, references, *, training):
            found.append((self.prior, maps, references))
            return super().forward(parameters, statistics, maps, references, training=training)

    run(TinyBackbone(), detector=Keeping, normals=1)
    for prior, maps, references in found:
        assert prior == draw_prior(tiny_config().heads.prior_draws, torch_generator(0, "prior"))
        for scale, reference in zip(maps, references, strict=True):
            torch.testing.assert_close(reference, scale[0])
            assert not torch.allclose(reference, scale.mean(dim=0))


def test_it_lowers_the_loss():
    losses = []

    class Recording(DRA):  # type: ignore[misc]
        def loss(self, scores, kinds):
            value = super().loss(scores, kinds)
            losses.append(float(value.detach()))
            return value

    config = tiny_config()
    config = replace(config, finetune=replace(config.finetune, epochs=10, steps=8, rate=0.1))
    run(TinyBackbone(), detector=Recording, config=config)
    assert len(losses) == 80
    assert np.mean(losses[-12:]) < 0.6 * np.mean(losses[:12])


def test_a_backbone_without_weights_is_refused():
    class Fixed(TinyBackbone):
        def __init__(self):
            super().__init__()
            self.filters.requires_grad_(False)

    with pytest.raises(ConfigurationError, match="no weights to fine-tune"):
        run(Fixed())


def test_the_tuned_backbone_is_in_the_model_file(tmp_path):
    detector = AHL(backbone=TinyBackbone(), config=tiny_config(epochs=2), finetune=True)
    fit(detector, [small_image("good", i) for i in range(8)], [small_image("dot", 0)])
    detector.save(tmp_path / "model.ahl")
    loaded = AHL.load(tmp_path / "model.ahl", backbones=[TinyBackbone])
    images = [small_image("bar", i) for i in range(3)]
    assert np.array_equal(loaded.decision_function(images), detector.decision_function(images))
    assert not torch.equal(loaded.model_.backbone.filters, TinyBackbone().filters)


def test_a_damaged_image_is_skipped_before_it_is_drawn(tmp_path):
    """It hashes, so it gets as far as training, and would stop the stage at some random step."""
    path = tmp_path / "half.png"
    Image.fromarray(small_image("good", 99)).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    skipped = []

    class Listening(Callback):
        def on_skipped(self, skipped_one):
            skipped.append(skipped_one.name)

    config = tiny_config(epochs=2)
    detector = AHL(
        backbone=TinyBackbone(), config=config, finetune=True, run=RunSettings(callback=Listening())
    )
    good = [small_image("good", i) for i in range(6)]
    fit(detector, [*good, path], [small_image("dot", 0)])
    assert skipped == [path.as_posix()]
    assert detector.model_.manifest.skipped == 1
