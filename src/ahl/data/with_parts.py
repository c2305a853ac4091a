"""Datasets with the parts of their images, and with their content pinned."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

from ahl._common.callbacks import Callback
from ahl._common.errors import ImageError
from ahl._common.types import Sample
from ahl.data.folders import Dataset, by_name
from ahl.data.images.numbers import FULL_DEPTH
from ahl.data.images.reading import content_hash
from ahl.data.parts import Parts, find_parts


def with_parts(
    dataset: Dataset,
    callback: Callback | None = None,
    *,
    group_by: str | None = None,
    bit_depth: int = FULL_DEPTH,
) -> tuple[Dataset, Parts[Sample]]:
    """Find the parts of a dataset's samples, and pin the samples to their content.

    Every image is decoded once; a training on a split of the returned dataset does not search again
    for parts and copies. An image that changes later can no longer be read.

    Args:
        dataset: a dataset, as from `open_dataset`.
        callback: receives progress.
        group_by: as in `part_of`; None to look for copies only.
        bit_depth: as for `read_pixels`.

    Returns:
        the dataset with parts, and the parts, copies and pictures found.

    Raises:
        ConfigurationError: if `group_by` is not a regular expression.

    Examples:
        >>> from pathlib import Path
        >>> from ahl import open_dataset, with_parts
        >>> dataset, found = with_parts(open_dataset(Path("parts")), group_by="[0-9]+")
        >>> found.unmatched
        0
    """
    given = (dataset.train_normals, dataset.test_normals, dataset.anomalies)
    samples = [_pinned(sample) for sample in by_name(chain(*given))]
    found = find_parts(samples, callback or Callback(), group_by=group_by, bit_depth=bit_depth)
    told = {sample.name: sample for sample in found.images}
    normals, tests, anomalies = (tuple(told[one.name] for one in samples) for samples in given)
    changed = replace(
        dataset,
        train_normals=normals,
        test_normals=tests,
        anomalies=anomalies,
        group_by=group_by or dataset.group_by,
        found=found,
    )
    return changed, found


def _pinned(sample: Sample) -> Sample:
    """The sample with its hash; unchanged if it cannot be read, which is reported later."""
    try:
        return replace(sample, sha256=content_hash(sample.source))
    except ImageError:
        return sample
