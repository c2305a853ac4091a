"""Every test is alone with its folder: own feature cache, no hub, one torch thread."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is: no test fails for it.
settings.register_profile(
    "ahl", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ahl")


@pytest.fixture(autouse=True)
def own_feature_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("AHL_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def inspection_folder(tmp_path_factory):
    """good/, dot/ and bar/: small pictures, each file different; read only."""
    from small_images import write_class

    root = tmp_path_factory.mktemp("inspection")
    for name, count in (("good", 24), ("dot", 3), ("bar", 3)):
        write_class(root / name, name, count)
    return root


@pytest.fixture(scope="session")
def benchmark_folder(tmp_path_factory):
    """The same parts in the benchmark layout; read only."""
    from small_images import write_class

    root = tmp_path_factory.mktemp("benchmark")
    write_class(root / "train" / "good", "good", 24)
    write_class(root / "test" / "good", "good", 12, first=100)
    for name in ("dot", "bar", "frame"):
        write_class(root / "test" / name, name, 8)
    return root


@pytest.fixture(scope="session")
def model(inspection_folder, tmp_path_factory):
    """A small trained model; no test may change it."""
    from commands import run, train_options

    folder = tmp_path_factory.mktemp("model")
    run("train", inspection_folder, "-o", folder / "m.ahl", "--json", *train_options(folder))
    return folder / "m.ahl"
