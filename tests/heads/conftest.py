"""Every base detector of the contract, on every layout with every config."""

import pytest

from heads.contract import CONFIGS, DETECTOR_CLASSES, LAYOUTS, PRIOR


@pytest.fixture(params=DETECTOR_CLASSES, ids=lambda cls: cls.name)
def detector_class(request):
    return request.param


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


@pytest.fixture(params=LAYOUTS)
def detector(request, detector_class, config):
    return detector_class(config, LAYOUTS[request.param], PRIOR)
