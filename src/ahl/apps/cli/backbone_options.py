"""The options that say which backbone makes the features, for every verb that extracts any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ahl._common.errors import ConfigurationError
from ahl._common.literals import literal
from ahl.apps.cli.common import Verb, add_options
from ahl.config import DEFAULT_BACKBONE

_OPTIONS = (
    click.option(
        "--backbone",
        default=DEFAULT_BACKBONE,
        show_default=True,
        help="efficientnet-lite0, -lite1 or -lite2 (Python packages), dinov2-small or -base, or "
        "any timm network or plain vision transformer.",
    ),
    click.option(
        "--weights",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Local weights of a timm model (safetensors or .pth), instead of a download.",
    ),
    click.option(
        "--backbone-arg",
        "backbone_args",
        multiple=True,
        metavar="KEY=VALUE",
        help="Further argument of the timm backbone, such as pad_type=same; mean and std override "
        "the normalisation. May be repeated.",
    ),
    click.option(
        "--stages",
        metavar="I,J,...",
        help="Backbone stages to join [default: the last three; of a transformer, three in its "
        "middle].",
    ),
    click.option(
        "--image-size",
        metavar="SIZE",
        help="Pixels that images are resized to [default: the preset's]. N is a square. HxW is "
        "height and width, such as 448x192. auto keeps the aspect ratio of the training images "
        "and is as large as they are: from 224 x 224 to 448 x 448 pixels, and no larger than one "
        "core extracts in ten minutes.",
    ),
    click.option(
        "--tiles",
        type=int,
        is_flag=False,
        flag_value=448,
        metavar="[N]",
        help="See images in overlapping tiles of N pixels (448 without N): for defects that are "
        "small in large images. auto then keeps the images' own size, up to 2048 x 2048 pixels "
        "and where time allows. Without N, put it last.",
    ),
)


def backbone_options(verb: Verb) -> Verb:
    """Add --backbone, --weights, --backbone-arg, --stages, --image-size and --tiles."""
    return add_options(verb, _OPTIONS)


def parse_arguments(texts: tuple[str, ...]) -> dict[str, Any]:
    """`KEY=VALUE` texts as a dictionary.

    Raises:
        ConfigurationError: if one has another form.
    """
    return dict(_key_value(text) for text in texts)


def parse_stages(text: str | None) -> tuple[int, ...] | None:
    """`1,2,3` as numbers.

    Raises:
        ConfigurationError: if it has another form.
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(
            f"--stages is {text!r}; it must be numbers such as 2,3,4."
        ) from None


def _key_value(text: str) -> tuple[str, object]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ConfigurationError(f"--backbone-arg is {text!r}; it must be KEY=VALUE.")
    return key.strip(), literal(value)
