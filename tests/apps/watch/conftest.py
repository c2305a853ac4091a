"""A watched folder and its goals."""

import pytest
from fake_scorer import Site


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)
