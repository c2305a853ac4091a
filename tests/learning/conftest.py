"""What trainings on small features are run with."""

import pytest

from ahl.heads import DETECTORS
from learning.small_runs import HEADS
from synthetic_features import (
    LAYOUT,
    PRIOR,
)


@pytest.fixture(scope="module", params=DETECTORS, ids=lambda cls: cls.name)
def detector(request):
    return request.param(HEADS, LAYOUT, PRIOR)
