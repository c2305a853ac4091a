"""A small trained model with a threshold, and a Parquet writer; read only."""

import pytest

from commands import run, train_options


@pytest.fixture(scope="session")
def model(inspection_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    run("train", inspection_folder, "-o", folder / "m.ahl", "--json", *train_options(folder))
    run("threshold", folder / "m.ahl", "--max-false-alarm-rate", "0.2", "--json")
    return folder / "m.ahl"


@pytest.fixture
def clean_memory():
    """fsspec's memory:// is one place a process."""
    import fsspec

    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    yield filesystem
    filesystem.store.clear()
