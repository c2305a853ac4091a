"""The estimator: fit, score, save, load."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from ahl._common.callbacks import Callback
from ahl._common.devices import resolve_device
from ahl._common.errors import ConfigurationError, DataError
from ahl._common.processes import Processes
from ahl._common.resuming import finetuning_checkpoint
from ahl._common.types import GOOD, ImageSize
from ahl.config import DEFAULT_BACKBONE, Config
from ahl.config import preset as preset_config
from ahl.data import TrainingSplit
from ahl.data.images.reading import ImageSource
from ahl.data.images.sources import from_samples, label_images
from ahl.distributions.augment import default_generators
from ahl.distributions.augment.base import PseudoAnomalyGenerator
from ahl.features.arrays import Maps, table_of_maps
from ahl.features.backbones import Backbone
from ahl.features.backbones.choice import BackboneChoice
from ahl.heads import BaseDetector, find_detector
from ahl.model.trained import TrainedModel
from ahl.pipeline.adapt import EPOCHS, adapt_to_images
from ahl.pipeline.correction import Correction
from ahl.pipeline.train import Fitting
from ahl.pipeline.update import MISSED_CLASS, update_with_images
from ahl.predictor import Predictor


class AHL(Predictor):
    """Open-set supervised anomaly detector (Zhu et al., CVPR 2024).

    Train with `detector = AHL(seed=0).fit(good_images, defect_images)`, then rank new images
    with `detector.score(images)`.

    Args:
        base: the base detector: `"dra"`, `"devnet"`, or a `BaseDetector` class of your own.
        backbone: a name of `ahl.features.backbones.PACKAGED`, a timm model name, or a `Backbone`
            of your own.
        seed: of every draw; the same data, seed and machine give the same model.
        preset: `"default"` (None is the same) or `"paper"`; not with `config`.
        config: all constants, instead of a preset.
        image_size: side of a square, (height, width) or `"auto"`; overrides the preset's or
            config's.
        tiles: side in pixels of the overlapping tiles in which images are seen, for defects that
            are small in large images; 0 sees them whole, None is the preset's or config's.
        weights: local weights of a timm backbone, instead of a download.
        backbone_arguments: further arguments of `timm.create_model`; `mean` and `std` override
            the normalisation of the weights.
        stages: backbone stages to join; None takes the last three, or a transformer's middle ones.
        generators: pseudo-anomaly generators; None takes CutMix, CutPaste and the DRAEM mask.
        device: `"auto"`, `"cpu"` or `"cuda"`.
        cache: folder of cached features; `"auto"` is the user's cache folder, None keeps them
            for the run only.
        finetune: train the backbone end to end first (stage 0 of the paper).
        checkpoint: file that keeps the state after every epoch; None keeps none.
        resume: go on from the checkpoint if there is one.
        strict: raise on an unreadable training image instead of skipping it.
        callback: receives progress, skipped images and notes.
        processes: that share the backbone's work (docs/bulk.md): the first one alone is trained
            and has an callback.

    Raises:
        ConfigurationError: if an argument has a value that cannot work.
    """

    def __init__(
        self,
        base: str | type[BaseDetector] = "dra",
        backbone: str | Backbone = DEFAULT_BACKBONE,
        *,
        seed: int = 0,
        preset: Literal["default", "paper"] | None = None,
        config: Config | None = None,
        image_size: int | ImageSize | str | None = None,
        tiles: int | None = None,
        weights: str | Path | None = None,
        backbone_arguments: Mapping[str, Any] | None = None,
        stages: Sequence[int] | None = None,
        generators: Sequence[PseudoAnomalyGenerator] | None = None,
        device: str = "auto",
        cache: str | Path | None = "auto",
        finetune: bool = False,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        strict: bool = False,
        callback: Callback | None = None,
        processes: Processes | None = None,
    ) -> None:
        if not 0 <= seed < 2**32:
            raise ConfigurationError(f"seed is {seed!r}; it must be from 0 to 2**32 - 1.")
        if config is not None and preset is not None:
            raise ConfigurationError("Give a preset or a config, not both.")
        processes = processes or Processes()
        config = config or preset_config(preset or "default")
        self._fitting = Fitting(
            detector_type=find_detector(base),
            backbone=BackboneChoice(
                backbone=backbone,
                weights=None if weights is None else Path(weights),
                arguments=dict(backbone_arguments or {}),
                stages=None if stages is None else tuple(stages),
            ),
            config=config.with_image_size(image_size, tiles),
            seed=seed,
            generators=tuple(default_generators() if generators is None else generators),
            device=resolve_device(device),
            cache=cache,
            finetune=finetune,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            resume=resume,
            strict=strict,
            callback=callback if callback and processes.is_first else Callback(),
            processes=processes,
        )
        super().__init__(self._fitting.device)

    @property
    def config(self) -> Config:
        """All constants of the run."""
        return self._fitting.config

    @property
    def facts(self) -> dict[str, Any]:
        """What identifies its runs, as JSON values, the data aside."""
        return self._fitting.facts()

    def fit(
        self,
        normal: Sequence[ImageSource],
        anomalies: Sequence[ImageSource],
        classes: Sequence[str] | None = None,
    ) -> Self:
        """Train on normal images and a few labelled anomalies.

        Args:
            normal: paths, Pillow images or uint8 arrays (H, W, C), at least two.
            anomalies: likewise, at least one.
            classes: the anomalies' classes, one each; None calls them all `"anomaly"`.

        Returns:
            the detector itself.

        Raises:
            DataError: if there are too few readable images.
            ImageError: if `strict` and an image cannot be read.
            WeightsError: if the backbone's weights cannot be had.
            ResumeError: if resuming and the checkpoint is of another run.
        """
        return self._run(
            lambda: self._fitting.on_images(
                label_images(normal, GOOD),
                label_images(anomalies, "anomaly" if classes is None else classes),
            )
        )

    def fit_split(self, split: TrainingSplit) -> Self:
        """Train on a dataset's split; the manifest keeps the samples' names.

        Args:
            split: from `ahl.benchmark.datasets.draw_split`; its test samples are not touched.

        Returns:
            the detector itself; raises what `fit` raises.
        """
        return self._run(
            lambda: self._fitting.on_images(
                from_samples(split.normals),
                from_samples(split.anomalies),
                drawn=split.drawn,
                known_class=split.known_class,
            )
        )

    def fit_features(self, normal: Maps, anomalies: Maps, *, pseudo: Sequence[Maps] = ()) -> Self:
        """Train on feature maps of your own instead of images.

        Args:
            normal: maps of the normals, at least two.
            anomalies: maps of the labelled anomalies, at least one.
            pseudo: for each pseudo-anomaly generator of yours, the maps of a tampered twin of
                every normal, in the normals' order; empty trains without pseudo anomalies.

        Returns:
            the detector itself.

        Raises:
            DataError: if the maps do not fit together or are too few.
        """
        return self._run(
            lambda: self._fitting.on_features(
                table_of_maps(normal),
                table_of_maps(anomalies),
                [table_of_maps(maps) for maps in pseudo],
            )
        )

    def adapt(self, normal: Sequence[ImageSource], *, epochs: int = EPOCHS) -> Self:
        """Go on training for another product, on normal images of it alone (the paper's table 3).

        Args:
            normal: images of the new product, at least two.
            epochs: how many.

        Returns:
            the detector itself.

        Raises:
            NotFittedError: before `fit` or `load`, or if trained on feature maps.
            DataError: if there are too few readable images.
        """
        fitting = self._fitting
        return self._run(
            lambda: adapt_to_images(
                self.model,
                label_images(normal, GOOD),
                generators=fitting.generators,
                epochs=epochs,
                device=fitting.device,
                cache=fitting.cache,
                strict=fitting.strict,
                callback=fitting.callback,
            )
        )

    def update(
        self,
        missed: Sequence[ImageSource] = (),
        false_alarms: Sequence[ImageSource] = (),
        classes: Sequence[str] | None = None,
        *,
        force: bool = False,
    ) -> Correction:
        """Correct the detector by images that it got wrong, without those it was trained on.

        Args:
            missed: defects that it did not find.
            false_alarms: good images that it took for defects.
            classes: the missed defects' classes, one each; None calls them all `"missed"`.
            force: take the correction even if it makes known images wrong that were right.

        Returns:
            what became of it, with all known images' scores before and after.

        Raises:
            NotFittedError: before `fit` or `load`, or if trained on feature maps.
            DataError: if there is no readable image; or if more known images would be wrong than
                before, and `force` is not given: the detector is as it was then.
        """
        fitting = self._fitting
        found = update_with_images(
            self.model,
            label_images(missed, MISSED_CLASS if classes is None else classes),
            label_images(false_alarms, GOOD),
            device=fitting.device,
            strict=fitting.strict,
            callback=fitting.callback,
        )
        if found.worsens and not force:
            raise DataError(
                "The correction would make more known images wrong than there were; the detector "
                "is as it was. Check the labels, or give force=True."
            )
        self._trained(found.model)
        return found

    def save(self, path: str | Path) -> None:
        """Write one safetensors file with everything inside, and drop the checkpoint.

        Raises:
            NotFittedError: before `fit` or `load`.
            ModelFileError: if the file cannot be written.
        """
        self.model.save(Path(path))
        self._fitting.callback.on_saved(Path(path))
        checkpoint = self._fitting.checkpoint
        for finished in (checkpoint, finetuning_checkpoint(checkpoint)):
            if finished is not None:
                finished.unlink(missing_ok=True)

    def _run(self, learn: Callable[[], TrainedModel | None]) -> Self:
        with self._fitting.callback.run(self.facts):
            model = learn()
        return self if model is None else self._trained(model)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        backbones: Sequence[type[Backbone]] = (),
        detectors: Sequence[type[BaseDetector]] = (),
        generators: Sequence[PseudoAnomalyGenerator] | None = None,
        cache: str | Path | None = "auto",
        strict: bool = False,
        callback: Callback | None = None,
    ) -> Self:
        """Read a saved detector; nothing is downloaded and no code from the file runs.

        Args:
            path: the model file.
            device: where the backbone will run.
            backbones: your own backbone classes that the file may need.
            detectors: your own detector classes that the file may need.
            generators: for `adapt`, as in the constructor; likewise the next three.
            cache: folder of cached features.
            strict: raise on an unreadable image instead of skipping it.
            callback: receives progress, skipped images and notes.

        Raises:
            ModelFileError: if the file is not a whole, unaltered model.
        """
        model = TrainedModel.load(Path(path), backbones=backbones, detectors=detectors)
        loaded = cls(
            base=type(model.detector),
            seed=model.seed,
            config=model.config,
            device=device,
            backbone=DEFAULT_BACKBONE if model.backbone is None else model.backbone,
            generators=generators,
            cache=cache,
            strict=strict,
            callback=callback,
        )
        return loaded._trained(model)
