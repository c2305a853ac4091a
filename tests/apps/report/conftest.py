"""A small model with a threshold, and data with classes that it has and has not seen."""

import pytest

from ahl import AHL, RunSettings
from ahl.data import draw_split, open_dataset
from tiny import TinyBackbone, tiny_config


@pytest.fixture(scope="session")
def dataset(benchmark_folder):
    return open_dataset(benchmark_folder)


@pytest.fixture(scope="session")
def detector(dataset):
    trained = AHL(
        backbone=TinyBackbone(), config=tiny_config(epochs=2), run=RunSettings(cache=None)
    )
    trained.fit_split(draw_split(dataset, anomalies=2, seed=1))
    trained.threshold(max_false_alarm_rate=0.2)
    return trained


@pytest.fixture(scope="session")
def report_file(detector, dataset, tmp_path_factory):
    from ahl.apps.report.html import write_report

    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(detector.scorer, dataset, path, made="today")
    return path
