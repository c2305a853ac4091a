"""A small trained model for the verbs that need one; none of them may change it."""

import pytest

from commands import run, train_options


@pytest.fixture(scope="session")
def model(inspection_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    run("train", inspection_folder, "-o", folder / "m.ahl", "--json", *train_options(folder))
    return folder / "m.ahl"
