"""Arguments, options and groups of options that several verbs share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ahl._common.errors import ConfigurationError
from ahl._common.text import literal
from ahl.apps.cli.common import use_threads
from ahl.apps.cli.options import FILE, FOLDER, POSITIVE, option, options
from ahl.config import DEFAULT_BACKBONE

if TYPE_CHECKING:
    from ahl._common.callbacks import Callback
    from ahl.config import Config

existing_model = click.argument(
    "model", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)


def _not_exported(_context: click.Context, _parameter: click.Parameter, model: Path) -> Path:
    from ahl.scoring.artefact import is_exported

    if is_exported(model):
        raise click.BadParameter(
            f"{model} is an exported model; give the model file that it was exported from."
        )
    return model


trained_model = click.argument(
    "model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=_not_exported,
)
"""Argument MODEL of verbs that take no exported model."""


def json_flag() -> Any:  # noqa: ANN401 - a field
    """The field `as_json`."""
    return option("Print JSON instead of tables.", "--json", default=False)


def seed_number() -> Any:  # noqa: ANN401 - a field
    """The field `seed`."""
    return option("Random seed.", default=0, type=click.IntRange(0, 2**32 - 1))


def group_by_names(default: str = "copies alone") -> Any:  # noqa: ANN401 - a field
    """The field `group_by`."""
    return option(
        "Regular expression for images' names below the folder: images with the same first group "
        "(or the same match, without groups) show one part and are kept together. Others are "
        f"kept with their copies [default: {default}].",
        default=None,
        metavar="REGEX",
    )


def thread_count() -> Any:  # noqa: ANN401 - a field
    """The field `threads`."""
    return option("CPU threads [default: all cores].", default=None, type=POSITIVE)


def output_model(help: str = "Model file to write.", **settings: Any) -> Any:  # noqa: A002, ANN401
    """The field `output` of verbs that write a model."""
    return option(help, "-o", type=FILE, **settings)


@options
class Computing:
    """Device and threads."""

    device: Literal["auto", "cpu", "cuda"] = option("Where to compute.", default="auto")
    threads: int | None = thread_count()

    def begin(self) -> None:
        """Limit torch's threads."""
        use_threads(self.threads)


@options
class ScorerComputing:
    """Device and threads for scoring, by a trained or an exported model."""

    device: Literal["auto", "cpu", "cuda", "openvino"] = option(
        "Where to compute. An exported model: auto or cpu (ONNX Runtime), or openvino.",
        default="auto",
    )
    threads: int | None = thread_count()


@options
class JsonAlone:
    """The options of a verb that has only `--json`."""

    as_json: bool = json_flag()


@options
class Caching:
    """Cache of extracted features and of scores of labelled images."""

    cache: Path | None = option(
        "Cache folder [default: $AHL_CACHE, else your user cache].",
        default=None,
        type=FOLDER,
    )
    no_cache: bool = option("Neither read nor write the cache.", default=False)

    @property
    def place(self) -> Path | str | None:
        """The cache as `ahl.AHL` takes it.

        Raises:
            ConfigurationError: if both options are given.
        """
        if self.cache is not None and self.no_cache:
            raise ConfigurationError("Give --cache or --no-cache, not both.")
        return None if self.no_cache else (self.cache or "auto")


@options
class Features:
    """Backbone, and the size in which it sees images."""

    backbone: str = option(
        "efficientnet-lite0, -lite1 or -lite2 (Python packages), dinov2-small or -base, or any "
        "timm network or plain vision transformer.",
        default=DEFAULT_BACKBONE,
    )
    weights: Path | None = option(
        "Local weights of a timm model (safetensors or .pth), instead of a download.",
        default=None,
        type=FILE,
    )
    backbone_args: tuple[str, ...] = option(
        "Further argument of the timm backbone, such as pad_type=same; mean and std override the "
        "normalisation. May be repeated.",
        "--backbone-arg",
        default=(),
        metavar="KEY=VALUE",
    )
    stages: str | None = option(
        "Backbone stages to join [default: the last three; of a transformer, three in its middle].",
        default=None,
        metavar="I,J,...",
    )
    image_size: str | None = option(
        "Pixels that images are resized to [default: the preset's]. N is a square. HxW is height "
        "and width, such as 448x192. auto keeps the aspect ratio of the training images and is "
        "as large as they are: from 224 x 224 to 448 x 448 pixels, and small enough that one "
        "core extracts the features in ten minutes.",
        default=None,
        metavar="SIZE",
    )
    tiles: int | None = option(
        "Split images into overlapping tiles of N pixels (448 without N): for defects that are "
        "small in their images. auto then keeps the images' own size, but enlarges those of "
        "fewer pixels than 2 x 2 tiles, if time allows, up to 2048 x 2048 pixels. Without N, put "
        "this option last.",
        default=None,
        is_flag=False,
        flag_value=448,
        metavar="[N]",
    )

    bit_depth: int = option(
        "Bits per grey value in 16-bit files; with 12, white is 4095. Stored in the model.",
        default=16,
        type=click.IntRange(9, 16),
    )

    def config(self, preset_name: str = "default") -> Config:
        """The constants of a preset, with these sizes.

        Raises:
            ConfigurationError: if they cannot work.
        """
        from ahl.config import preset

        config = preset(preset_name, image_size=self.image_size, tiles=self.tiles)
        return replace(config, features=replace(config.features, bit_depth=self.bit_depth))

    def choice(self) -> dict[str, Any]:
        """The backbone as `ahl.AHL` takes it.

        Raises:
            ConfigurationError: if --backbone-arg or --stages is malformed.
        """
        return {
            "backbone": self.backbone,
            "weights": self.weights,
            "backbone_arguments": parse_arguments(self.backbone_args),
            "stages": parse_stages(self.stages),
        }


@options
class Logging:
    """Logs of a training run."""

    log: Path | None = option(
        "Append the progress of the run to this file as JSON lines (docs/logs.md).",
        default=None,
        type=FILE,
    )
    tensorboard: Path | None = option(
        "Folder for this run's TensorBoard curves.", default=None, type=FOLDER
    )
    mlflow: str | None = option(
        "MLflow store, such as sqlite:///runs.db or http://host:5000.", default=None, metavar="URI"
    )

    def beside(self, console: Callback) -> Callback:
        """The console's callback, joined with those of the logs that were asked for.

        Raises:
            ConfigurationError: if one of them cannot be written.
        """
        from ahl._common.callbacks import Broadcast
        from ahl.apps.logs import JsonLinesLog, MLflowLog, TensorBoardLog

        logs: dict[str, Callback] = {}
        if self.log is not None:
            logs[f"--log {self.log}"] = JsonLinesLog(self.log)
        if self.tensorboard is not None:
            logs[f"--tensorboard {self.tensorboard}"] = TensorBoardLog(self.tensorboard)
        if self.mlflow is not None:
            logs[f"--mlflow {self.mlflow}"] = MLflowLog(self.mlflow)
        return Broadcast(console, logs) if logs else console


def parse_arguments(texts: tuple[str, ...]) -> dict[str, Any]:
    """`KEY=VALUE` texts as a dictionary.

    Raises:
        ConfigurationError: if one has another form.
    """
    found = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise ConfigurationError(f"--backbone-arg is {text!r}; expected KEY=VALUE.")
        found[key.strip()] = literal(value)
    return found


def parse_stages(text: str | None) -> tuple[int, ...] | None:
    """`1,2,3` as numbers.

    Raises:
        ConfigurationError: if it has another form.
    """
    try:
        return None if text is None else tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(f"--stages is {text!r}; expected numbers such as 2,3,4.") from None
