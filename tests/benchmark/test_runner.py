"""The runner: every cell once, whatever happens in between."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest

from ahl.backbones.choice import BackboneChoice
from ahl.benchmark import (
    METHODS,
    Benchmark,
    BenchmarkDataset,
    DetectorMethod,
    Method,
    Results,
    find_method,
    run_benchmark,
)
from ahl.benchmark.ablations import ABLATION_METHODS, ABLATIONS
from ahl.benchmark.planning import plan, run_context
from ahl.benchmark.report import write_report
from ahl.benchmark.specification import MethodSpec
from ahl.config import default
from ahl.datasets import open_dataset
from ahl.errors import ConfigurationError, DataError
from ahl.metrics import auroc
from tiny import TinyBackbone, tiny_config


@pytest.fixture(scope="module")
def dataset(request):
    folder = request.getfixturevalue("benchmark_folder")
    return BenchmarkDataset(name="parts", subsets=(open_dataset(folder),))


def small(dataset, *methods, **others):
    values = {
        "datasets": [dataset],
        "methods": methods,
        "anomalies": (3,),
        "seeds": (0,),
        "backbone": BackboneChoice(backbone=TinyBackbone()),
        "config": tiny_config(epochs=2),
        **others,
    }
    return Benchmark(**values)


class Brightness(Method):
    """A method of one's own: mean of the first channel."""

    name = "brightness"
    title = "Brightness"

    def score(self, problem):
        rows = problem.test.rows(np.arange(len(problem.test)))
        return problem.test.layout.split(rows)[0][:, 0].mean(dim=(1, 2)).double().numpy()


class Refusing(Brightness):
    name = "refusing"

    def score(self, problem):
        raise DataError("nothing to see here")


class WrongShape(Brightness):
    name = "wrong-shape"

    def score(self, problem):
        return np.zeros(3)


@pytest.mark.parametrize("method", [*METHODS, *ABLATION_METHODS], ids=lambda method: method.name)
def test_every_method_scores_a_test_the_same_way_twice(dataset, method, tmp_path):
    benchmark = small(dataset, method.name)
    found = []
    for name in ("one", "two"):
        outcome = run_benchmark(benchmark, tmp_path / name)
        assert (outcome.computed, outcome.failed) == (1, ())
        (record,) = Results(tmp_path / name).records.values()
        found.append(Results(tmp_path / name).scored(record.key))
    assert np.array_equal(found[0].scores, found[1].scores)
    assert record.auroc == pytest.approx(auroc(found[0].labels, found[0].scores))
    expected = 12 + (24 - 9 if method.labels == "every class" else 24 - 3)
    assert len(found[0].names) == expected
    assert record.seconds > 0
    assert record.peak_mebibytes > 50


def test_no_test_label_reaches_a_method(dataset, tmp_path):
    """The problem that a method is given holds features, no names and no classes of the test."""
    seen = []

    class Spy(Brightness):
        def score(self, problem):
            seen.append({name for name in vars(problem) if not name.startswith("_")})
            return super().score(problem)

    run_benchmark(small(dataset, "brightness", further=(Spy(),)), tmp_path)
    assert seen == [
        {"normals", "anomalies", "test", "make_pseudo", "generators", "config", "seed", "device"}
    ]


def test_a_finished_cell_is_not_computed_again_unless_its_config_changes(dataset, tmp_path):
    benchmark = small(dataset, "logistic", "devnet", seeds=(0, 1))
    assert run_benchmark(benchmark, tmp_path).computed == 4
    before = (tmp_path / "results.jsonl").read_bytes()
    with pytest.raises(ConfigurationError, match="--resume"):
        run_benchmark(benchmark, tmp_path)
    again = run_benchmark(benchmark, tmp_path, resume=True)
    assert (again.computed, again.kept) == (0, 4)
    assert (tmp_path / "results.jsonl").read_bytes() == before
    longer = replace(benchmark, config=tiny_config(epochs=3))
    assert run_benchmark(longer, tmp_path, resume=True).computed == 4
    assert (tmp_path / "results.jsonl").read_bytes().startswith(before)
    more = replace(longer, methods=("logistic", "devnet", "patchcore"))
    assert run_benchmark(more, tmp_path, resume=True).computed == 2


def test_a_sweep_has_a_row_for_the_value_that_is_the_default(dataset, tmp_path):
    clusters = tiny_config().distributions.clusters
    methods = ("devnet", f"devnet,distributions.clusters={clusters}", "devnet,memory.weight=9")
    assert run_benchmark(small(dataset, *methods), tmp_path).computed == 3
    assert [r.method for r in Results(tmp_path).records.values()] == list(methods)
    assert run_benchmark(small(dataset, *methods), tmp_path, resume=True).kept == 3


def test_resuming_needs_no_features(dataset, tmp_path):
    benchmark = small(dataset, "logistic")
    run_benchmark(benchmark, tmp_path)
    TinyBackbone.images_seen = 0
    run_benchmark(replace(benchmark, cache=None), tmp_path, resume=True)
    assert TinyBackbone.images_seen == 0


def test_a_half_written_line_is_measured_again(dataset, tmp_path):
    benchmark = small(dataset, "logistic", "patchcore")
    run_benchmark(benchmark, tmp_path)
    path = tmp_path / "results.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert len(Results(tmp_path, writable=False).records) == 1
    assert path.read_bytes() == whole[:-40], "reading repairs nothing"
    assert run_benchmark(benchmark, tmp_path, resume=True).computed == 1
    assert [json.loads(line)["method"] for line in path.read_text().splitlines()] == [
        "logistic",
        "patchcore",
    ]


def test_several_processes_find_the_same(dataset, tmp_path):
    benchmark = small(dataset, "logistic", "ahl-devnet", seeds=(0, 1))
    run_benchmark(benchmark, tmp_path / "one")
    assert run_benchmark(benchmark, tmp_path / "two", jobs=2).computed == 4
    one, two = (Results(tmp_path / name).records for name in ("one", "two"))
    assert {key: record.auroc for key, record in one.items()} == {
        key: record.auroc for key, record in two.items()
    }


def test_a_method_that_fails_stops_no_other_and_is_tried_again(dataset, tmp_path):
    benchmark = small(
        dataset,
        "refusing",
        "brightness",
        "wrong-shape",
        further=(Refusing(), Brightness(), WrongShape()),
    )
    for _ in range(2):
        outcome = run_benchmark(benchmark, tmp_path, resume=True)
        assert len(outcome.failed) == 2
        assert "nothing to see here" in outcome.failed[0][1]
        assert "shape" in outcome.failed[1][1]
        assert [r.method for r in Results(tmp_path).records.values()] == ["brightness"]


def test_hard_draws_from_one_class_and_tests_the_others(dataset, tmp_path):
    benchmark = small(dataset, "logistic", settings=("hard",))
    assert run_benchmark(benchmark, tmp_path).computed == 3
    for record in Results(tmp_path).records.values():
        scored = Results(tmp_path).scored(record.key)
        assert record.known_class in ("bar", "dot", "frame")
        assert set(scored.classes) == {"good", "bar", "dot", "frame"} - {record.known_class}
        assert record.auroc_seen is None
        assert record.auroc_unseen == record.auroc


def test_classes_the_protocol_does_not_name_are_left_out_of_the_hard_setting(dataset):
    named = replace(dataset, hard_classes=("dot",))
    benchmark = small(named, "logistic", settings=("hard",), anomalies=(3, 8))
    batches = list(plan(benchmark, run_context(benchmark)))
    assert [(b.draw.known_class, b.draw.anomalies) for b in batches] == [("dot", 3)]


def test_transfer_trains_on_one_and_tests_on_another(dataset, inspection_folder, tmp_path):
    other = BenchmarkDataset(name="others", subsets=(open_dataset(inspection_folder),))
    benchmark = small(dataset, "ahl-dra", "devnet", datasets=[dataset, other], transfer=True)
    assert run_benchmark(benchmark, tmp_path).failed == ()
    records = Results(tmp_path).records.values()
    assert {(r.source, r.dataset, r.method) for r in records} == {
        (source, target, method)
        for source, target in (("parts", "others"), ("others", "parts"))
        for method in ("ahl-dra", "devnet")
    }
    assert all(record.auroc_seen is None for record in records)
    run_benchmark(
        small(dataset, "devnet", "logistic"), tmp_path, resume=True
    )  # beside it in one folder
    write_report(tmp_path)
    report = (tmp_path / "report.md").read_text()
    assert "transfer from others" in report
    assert "transfer from parts" in report


def test_what_cannot_transfer_is_refused_before_anything_is_computed(dataset, inspection_folder):
    other = BenchmarkDataset(name="others", subsets=(open_dataset(inspection_folder),))
    methods = ("ahl-dra", "logistic", "fs-dra", "+hadg", "fs-dra,heads.margin=4", "brightness")
    benchmark = small(
        dataset, *methods, further=(Brightness(),), datasets=[dataset, other], transfer=True
    )
    with pytest.raises(ConfigurationError) as refused:
        next(plan(benchmark, run_context(benchmark)))
    assert "train on every class: fs-dra;" in str(refused.value)
    assert "other normals: logistic, +hadg, brightness." in str(refused.value)
    assert "ahl-dra" not in str(refused.value)


@pytest.mark.parametrize("method", [*METHODS, *ABLATION_METHODS], ids=lambda method: method.name)
def test_a_method_transfers_where_it_is_a_detector_that_sees_no_more_than_others(method):
    detector = isinstance(method, DetectorMethod) and method.name != "fs-dra"
    assert method.transfers is detector


def test_an_own_method_transfers_where_it_says_how():
    class Moving(Brightness):
        def transfer(self, source, target):
            return self.score(target)

    class Bound(Moving):
        labels = "every class"

    assert (Brightness().transfers, Moving().transfers, Bound().transfers) == (False, True, False)


def test_what_a_method_is_stands_in_its_records(dataset, tmp_path):
    class Own(Brightness):
        name = "own"
        kind = "ahl"
        labels = "none"

    run_benchmark(small(dataset, "brightness", "own", further=(Brightness(), Own())), tmp_path)
    found = [(r.method, r.kind, r.labels) for r in Results(tmp_path).records.values()]
    assert found == [("brightness", "rival", "some classes"), ("own", "ahl", "none")]


@pytest.mark.parametrize("method", [*METHODS, *ABLATION_METHODS], ids=lambda method: method.name)
def test_the_methods_are_what_the_paper_makes_of_them(method):
    own = {"ahl-": "ahl", "+": "part"}
    kinds = [kind for start, kind in own.items() if method.name.startswith(start)]
    assert [method.kind] == (kinds or ["rival"])


def test_specifications_are_read_and_refused():
    spec = MethodSpec.parse("ahl-dra, distributions.clusters=4,importance.source=equal")
    config = spec.configure(default())
    assert (config.distributions.clusters, config.importance.source) == (4, "equal")
    for wrong, reason in (
        ("nobody", "no method"),
        ("dra,clusters=4", "SECTION.FIELD=VALUE"),
        ("dra,distributions.clusters", "SECTION.FIELD=VALUE"),
        ("dra,distributions.clusters=", "SECTION.FIELD=VALUE"),
        ("dra,learning.collaborative=True", "dra is what it is by learning.collaborative=False"),
        ("ahl-dra,learning.collaborative=False", "ahl-dra is what it is by"),
        ("+cdl-,learning.collaborative=False", "is what it is by"),
        ("+hadg,distributions.grouping=random", r"\+hadg is what it is by distributions.grouping"),
        ("+ramhadg,distributions.grouping=random", "is what it is by"),
        ("+hadg,calibration.folds=2", "is what it is by"),
        ("patchcore,memory.patches=7", "patchcore takes no settings"),
        ("kdad,learning.epochs=7", "takes no settings"),
        ("logistic,heads.margin=7", "takes no settings"),
    ):
        with pytest.raises(ConfigurationError, match=reason):
            MethodSpec.parse(wrong)
    for wrong in (
        "dra,heads.nothing=1",
        "dra,heads.margin=-1",
        "dra,heads.margin=much",
        "dra,features.image_size=96",
        "dra,finetune.epochs=3",
    ):
        with pytest.raises(ConfigurationError):
            MethodSpec.parse(wrong).configure(default())


def test_every_ablation_names_methods_that_are_there():
    for specs in ABLATIONS.values():
        for text in specs:
            spec = MethodSpec.parse(text)
            spec.configure(default())
            assert find_method(spec.method.name) is spec.method


def test_a_killed_run_goes_on_where_it_stopped(benchmark_folder, tmp_path):
    output = tmp_path / "results"
    command = [
        *(sys.executable, "-m", "ahl", "benchmark", "run", "--dataset", f"x={benchmark_folder}"),
        *("--method", "logistic", "--method", "patchcore", "--method", "devnet", "--seeds", "4"),
        *("--anomalies", "3", "--backbone", "embedded", "--image-size", "64", "--threads", "1"),
        *("--cache", str(tmp_path / "cache"), "--output", str(output), "--json"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        limit = time.monotonic() + 120
        while process.poll() is None and not (
            (output / "results.jsonl").exists()
            and (output / "results.jsonl").read_bytes().count(b"\n") >= 2
        ):
            assert time.monotonic() < limit
            time.sleep(0.01)
        assert process.poll() is None, "the run ended before it could be killed"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    done = len(Results(output, writable=False).records)
    assert 2 <= done < 12
    resumed = subprocess.run([*command, "--resume"], capture_output=True, check=True)
    values = json.loads(resumed.stdout)
    assert (values["computed"], values["kept"]) == (12 - done, done)
    lines = (output / "results.jsonl").read_text().splitlines()
    keys = [json.loads(line)["key"] for line in lines]
    assert len(set(keys)) == len(keys) == 12


def runs(process):
    """An orphan that has ended may stay a zombie: nobody need collect it here."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_processes_end_with_a_parent_that_is_killed(benchmark_folder, tmp_path):
    command = [
        *(sys.executable, "-m", "ahl", "benchmark", "run", "--dataset", f"x={benchmark_folder}"),
        *("--method", "ahl-dra", "--seeds", "2", "--anomalies", "3", "--backbone", "embedded"),
        *("--image-size", "64", "--jobs", "2", "--cache", str(tmp_path / "cache")),
        *("--output", str(tmp_path / "results")),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children = []
    try:
        limit = time.monotonic() + 60
        while len(children) < 3 and process.poll() is None:  # the queue's process, two workers
            assert time.monotonic() < limit
            time.sleep(0.1)
            children = psutil.Process(process.pid).children(recursive=True)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    limit = time.monotonic() + 30
    while (alive := list(filter(runs, children))) and time.monotonic() < limit:
        time.sleep(0.1)
    for child in alive:
        child.kill()
    assert not alive
