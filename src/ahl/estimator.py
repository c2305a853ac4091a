"""The estimator `AHL`, with scikit-learn's interface for images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import torch
from sklearn.base import BaseEstimator, ClassifierMixin

from ahl._common.errors import DataError
from ahl._common.tensor_file import finetuning_checkpoint
from ahl._common.types import GOOD, ImageSize
from ahl.config import DEFAULT_BACKBONE, Config
from ahl.data import TrainingSplit, draw_split, open_dataset
from ahl.data.images.reading import ImageSource
from ahl.data.images.sources import from_samples, label_images, listed_images
from ahl.data.labels import Groups, Labels, labelled
from ahl.distributions.augment.base import PseudoAnomalyGenerator
from ahl.features.backbones import Backbone
from ahl.features.table import Maps, table_of_maps
from ahl.heads import BaseDetector
from ahl.model.trained import TrainedModel
from ahl.pipeline.adapt import EPOCHS, adapt
from ahl.pipeline.settings import Learner, RunSettings, checked_run
from ahl.pipeline.train import train, train_on_features
from ahl.pipeline.update import MISSED_CLASS, update_with_images
from ahl.pipeline.update_result import Update
from ahl.scoring.predictor import Predictor


class AHL(Predictor, ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # no types there
    """Open-set supervised anomaly detector (Zhu et al., CVPR 2024).

    Parameters are attributes, as in scikit-learn: `get_params`, `set_params`, `clone`, grid search
    and cross-validation work. Images are paths, Pillow images or uint8 arrays (H, W), (H, W, 3) or
    (H, W, 4), in a list or in one array (N, H, W, C).

    Args:
        heads: the base model's heads: `"dra"`, `"devnet"`, or a `BaseDetector` class of your own.
        backbone: a name in `ahl.PACKAGED`, whose weights are Python packages, a timm model name,
            or a `Backbone` of your own.
        seed: seed of all randomness, 0 to 2**32 - 1; the same data, seed and machine give the same
            model.
        preset: `"default"` or `"paper"`; ignored if `config` is given.
        config: all constants, instead of a preset.
        image_size: side of a square, (height, width) or `"auto"`, in pixels; None: the config's.
        tiles: side in pixels of the overlapping tiles in which images are seen, for small
            defects; 0 sees images whole, None: the config's.
        weights: local weights of a timm backbone, instead of a download.
        backbone_arguments: further arguments of `timm.create_model`; `mean` and `std` override
            the normalisation of the weights.
        stages: backbone stages to join; None takes the last three, or a transformer's middle ones.
        generators: pseudo-anomaly generators; None takes CutMix, CutPaste and the DRAEM mask.
        episodes: True to learn by AHL's episodes (Algorithm 1), False to train the base detector
            alone; None: the config's, which is True for `"paper"` and False for `"default"`.
        finetune: train the backbone end to end first (stage 0 of the paper): slow, and less
            accurate on HeadCT, where it was measured (docs/does-ahl-help.md).
        verbose: 1 prints progress on standard error, 0 nothing; None a line now and then in a
            long run.
        run: device, cache, checkpoint and other settings that do not change what is learnt.

    Attributes:
        classes_: array of 0 (good) and 1 (anomalous), the values that `predict` returns.
        model_: the trained model.

    Examples:
        >>> import numpy as np
        >>> from ahl import AHL
        >>> random = np.random.default_rng(0)
        >>> good = random.integers(90, 110, (12, 64, 64, 3), dtype=np.uint8)
        >>> bad = good[:2].copy()
        >>> bad[:, 20:40, 20:40] = 255
        >>> images, labels = [*good, *bad], [0] * 12 + [1] * 2
        >>> detector = AHL(image_size=64).fit(images, labels)
        >>> bool(detector.decision_function(bad)[0] > detector.decision_function(good)[0])
        True
    """

    def __init__(
        self,
        heads: str | type[BaseDetector] = "dra",
        backbone: str | Backbone = DEFAULT_BACKBONE,
        *,
        seed: int = 0,
        preset: Literal["default", "paper"] = "default",
        config: Config | None = None,
        image_size: int | ImageSize | str | None = None,
        tiles: int | None = None,
        weights: str | Path | None = None,
        backbone_arguments: Mapping[str, Any] | None = None,
        stages: Sequence[int] | None = None,
        generators: Sequence[PseudoAnomalyGenerator] | None = None,
        episodes: bool | None = None,
        finetune: bool = False,
        verbose: int | None = None,
        run: RunSettings | None = None,
    ) -> None:
        self.heads = heads
        self.backbone = backbone
        self.seed = seed
        self.preset = preset
        self.config = config
        self.image_size = image_size
        self.tiles = tiles
        self.weights = weights
        self.backbone_arguments = backbone_arguments
        self.stages = stages
        self.generators = generators
        self.episodes = episodes
        self.finetune = finetune
        self.verbose = verbose
        self.run = run

    def fit(
        self,
        images: Sequence[ImageSource] | str | Path,
        labels: Labels | None = None,
        groups: Groups | None = None,
    ) -> Self:
        """Train on good images and a few labelled anomalies.

        Args:
            images: at least two good images and one anomaly; or a folder for `open_dataset`.
            labels: one per image, 0 or `"good"`, 1 or an anomaly class; None for a folder.
            groups: the part that each image shows; photographs of one part are kept in one fold.
                Images without a part (by default all) are kept with their copies.

        Raises:
            ConfigurationError: if a parameter has an invalid value.
            DataError: if labels do not match the images, or too few images are readable.
            ImageError: if an image is unreadable and `run.strict` is set.
            WeightsError: if the backbone's weights cannot be found or downloaded.
            ResumeError: if the checkpoint to resume is of another run.
        """
        if isinstance(images, (str, Path)) and labels is None:
            dataset = open_dataset(Path(images))
            for note in dataset.notes:
                self._run().callback.on_note(note)
            return self.fit_split(draw_split(dataset, anomalies=None))
        normals, anomalies = labelled(listed_images(images), labels, groups)
        return self._fitted(train(normals, anomalies, self._learner(), self._run()))

    def fit_split(self, split: TrainingSplit) -> Self:
        """Train on a split from `draw_split`, without its test samples; raises as `fit`."""
        found = train(
            from_samples(split.normals),
            from_samples(split.anomalies),
            self._learner(),
            self._run(),
            drawn=split.drawn,
            known_class=split.known_class,
            group_by=split.group_by,
            found=split.found,
        )
        return self._fitted(found)

    def fit_features(self, normal: Maps, anomalies: Maps, *, pseudo: Sequence[Maps] = ()) -> Self:
        """Train on feature maps of your own instead of images.

        Args:
            normal: maps of at least two normals: (N, C, H, W), or one such array per scale.
            anomalies: maps of at least one labelled anomaly, in the same form.
            pseudo: for each of your pseudo-anomaly generators, the maps of a pseudo anomaly made
                from every normal, in the normals' order; empty trains without them.

        Raises:
            DataError: if the maps have inconsistent shapes or are too few.
        """
        normals, labelled_ones, *twins = map(table_of_maps, (normal, anomalies, *pseudo))
        return self._fitted(
            train_on_features(normals, labelled_ones, twins, self._learner(), self._run())
        )

    def adapt(self, normal: Sequence[ImageSource], *, epochs: int = EPOCHS) -> Self:
        """Adapt to another product by training on its normal images (the paper's table 3).

        Raises:
            NotFittedError: before `fit` or `load`.
            DataError: as `fit`, or if the model was trained on feature maps.
        """
        learner, run = self._learner(), self._run()
        with run.callback.run(self.facts):
            model = adapt(
                self.model_,
                label_images(normal, GOOD),
                run,
                generators=learner.generators,
                epochs=epochs,
            )
        return self._fitted(model)

    def update(
        self,
        missed: Sequence[ImageSource] = (),
        false_alarms: Sequence[ImageSource] = (),
        classes: Sequence[str] | None = None,
        *,
        force: bool = False,
    ) -> Update:
        """Learn from images that the detector got wrong; the training images are not needed.

        Args:
            missed: defects that it scored as good.
            false_alarms: good images that it scored as defects.
            classes: class of each missed defect; None: `"missed"` for all.
            force: True to update even if more stored examples are wrong than before.

        Returns:
            the result, with all stored examples' scores before and after.

        Raises:
            NotFittedError: before `fit` or `load`.
            ConfigurationError: if a missed defect's class is good or empty.
            ImageError: if an image is unreadable and `run.strict` is set.
            DataError: if no image is readable, the model was trained on feature maps, or more
                stored examples are wrong than before (without `force`; the detector is unchanged).
        """
        found = update_with_images(
            self.model_,
            label_images(missed, MISSED_CLASS if classes is None else classes),
            label_images(false_alarms, GOOD),
            self._run(),
        )
        if found.worsens and not force:
            raise DataError(
                "More stored examples would be wrong than before; the detector is unchanged. "
                "Check the labels, or pass force=True."
            )
        self._fitted(found.model)
        return found

    def save(self, path: str | Path) -> None:
        """Save the whole detector to one safetensors file, and delete the checkpoint.

        Raises:
            NotFittedError: before `fit` or `load`.
            ModelFileError: if the file cannot be written.
        """
        path, run = Path(path), self._run()
        self.model_.save(path)
        run.callback.on_saved(path)
        for finished in (run.checkpoint_file, finetuning_checkpoint(run.checkpoint_file)):
            if finished is not None:
                finished.unlink(missing_ok=True)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        backbones: Sequence[type[Backbone]] = (),
        heads: Sequence[type[BaseDetector]] = (),
        generators: Sequence[PseudoAnomalyGenerator] | None = None,
        verbose: int | None = None,
        run: RunSettings | None = None,
    ) -> Self:
        """Load a saved detector; nothing is downloaded and no code from the file runs.

        Args:
            path: the model file.
            backbones: your own backbone classes that the file may need.
            heads: your own heads that the file may need.
            generators: generators for `adapt`, as in the constructor.
            verbose: as in the constructor.
            run: as in the constructor.

        Raises:
            ModelFileError: if the file is missing, damaged, altered, or not a model.
        """
        model = TrainedModel.load(Path(path), backbones=backbones, detectors=heads)
        return cls(
            heads=type(model.detector),
            backbone=DEFAULT_BACKBONE if model.backbone is None else model.backbone,
            seed=model.seed,
            config=model.config,
            generators=generators,
            verbose=verbose,
            run=run,
        )._fitted(model)

    @property
    def facts(self) -> dict[str, Any]:
        """Facts that identify a run of this estimator, except its data, as JSON values."""
        return self._learner().facts(self._run())

    def _learner(self) -> Learner:
        """The parameters, checked and resolved."""
        names = set(self._get_param_names()) - {"preset", "verbose", "run"}
        given = {name: getattr(self, name) for name in names}
        return Learner.of(**given, preset_name=self.preset)

    def _device(self) -> torch.device:
        return self._run().torch_device

    def _run(self) -> RunSettings:
        """The run's settings, with a callback that prints as `verbose` says."""
        return checked_run(self.run, self.verbose)
