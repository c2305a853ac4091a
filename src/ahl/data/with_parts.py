"""A dataset whose images have been looked at: each has its part, and keeps its content."""

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
    """A dataset whose samples have their parts, and what these were found by.

    Every image is decoded once, and not again by a training on a split of the dataset. From then on
    each has the content that was looked at: one that changes later cannot be read any more.

    Args:
        dataset: as `open_dataset` gives it.
        callback: receives progress.
        group_by: as in `part_of`; None: copies alone tell parts.
        bit_depth: as for `read_pixels`.

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
    """The sample with its hash; as it is if it cannot be read, as is found out later."""
    try:
        return replace(sample, sha256=content_hash(sample.source))
    except ImageError:
        return sample
