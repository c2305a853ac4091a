"""Weights that timm's models have on the Hugging Face hub, as a local file, or one clear error."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from ahl._common.errors import WeightsError
from ahl.config import DEFAULT_BACKBONE

WAYS_OUT = (
    "Ways out: run once where the internet can be reached (the weights are kept), give a "
    "local file with --weights FILE (safetensors or .pth, of the same timm model), or use "
    f"--backbone {DEFAULT_BACKBONE}, whose weights are installed with ahl."
)

_PATIENCE = 5.0
"""Seconds to wait for the hub's first answer: a factory floor often has no internet."""


class _File(TypedDict):
    repo_id: str
    filename: str
    revision: str | None


def fetch_weights(name: str) -> Path:
    """Return timm's pretrained weights of a model, from the local cache or by one download.

    Only safetensors files are fetched, never pickles. The hub's own settings are respected:
    `HF_HUB_OFFLINE`, `HF_ENDPOINT`, `HF_HOME`, and proxies.

    Args:
        name: timm model name, with or without a tag, known to exist.

    Returns:
        A safetensors file in the hub's cache.

    Raises:
        WeightsError: if there are no such weights, or they cannot be reached.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import LocalEntryNotFoundError
    from timm.models import get_pretrained_cfg

    known = get_pretrained_cfg(name)
    if known is None or not known.hf_hub_id:
        raise WeightsError(f"timm offers no safetensors weights of {name} on the hub. {WAYS_OUT}")
    repository, _, revision = known.hf_hub_id.partition("@")
    filename = str(Path(known.hf_hub_filename or "model").with_suffix(".safetensors"))
    wanted: _File = {
        "repo_id": repository,
        "filename": filename,
        "revision": revision or None,
    }
    with quiet("huggingface_hub"):
        try:
            return Path(hf_hub_download(**wanted, local_files_only=True))
        except LocalEntryNotFoundError:
            pass
        try:
            # Asked once, because hf_hub_download itself would go on trying for 20 seconds.
            get_hf_file_metadata(hf_hub_url(**wanted), timeout=_PATIENCE)
            return Path(hf_hub_download(**wanted))
        except Exception as error:  # the HTTP clients below raise a dozen unrelated types
            raise WeightsError(
                f"The pretrained weights of {name} cannot be downloaded "
                f"({type(error).__name__}). {WAYS_OUT}"
            ) from error


@contextmanager
def quiet(library: str) -> Iterator[None]:
    """Keep a library's warnings in its log off stderr; what matters is raised as an error."""
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
