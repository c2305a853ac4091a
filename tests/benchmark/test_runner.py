"""The runner: every trial once, whatever happens in between."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from ahl._common.errors import ConfigurationError, DataError
from ahl.benchmark.results import Results
from ahl.benchmark.runner import run_benchmark
from ahl.benchmark.trials import plan, run_context
from ahl.config import DEFAULT_BACKBONE
from ahl.features.backbones import PACKAGED
from ahl.features.backbones.choice import BackboneChoice
from benchmark.small_benchmarks import Brightness, small
from tiny import TinyBackbone, tiny_config


class Refusing(Brightness):
    name = "refusing"

    def score(self, problem):
        raise DataError("nothing to see here")


class WrongShape(Brightness):
    name = "wrong-shape"

    def score(self, problem):
        return np.zeros(3)


def test_a_finished_trial_is_not_computed_again_unless_its_config_changes(dataset, tmp_path):
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
    assert [r.method for r in Results(tmp_path).trials.values()] == list(methods)
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
    assert len(Results(tmp_path, writable=False).trials) == 1
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
    one, two = (Results(tmp_path / name).trials for name in ("one", "two"))
    assert {key: result.auroc for key, result in one.items()} == {
        key: result.auroc for key, result in two.items()
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
        assert [r.method for r in Results(tmp_path).trials.values()] == ["brightness"]


def test_hard_draws_from_one_class_and_tests_the_others(dataset, tmp_path):
    benchmark = small(dataset, "logistic", settings=("hard",))
    assert run_benchmark(benchmark, tmp_path).computed == 3
    for result in Results(tmp_path).trials.values():
        scored = Results(tmp_path).scored(result.key)
        assert result.known_class in ("bar", "dot", "frame")
        assert set(scored.classes) == {"good", "bar", "dot", "frame"} - {result.known_class}
        assert result.auroc_seen is None
        assert result.auroc_unseen == result.auroc


def test_classes_the_protocol_does_not_name_are_left_out_of_the_hard_setting(dataset):
    named = replace(dataset, hard_classes=("dot",))
    benchmark = small(named, "logistic", settings=("hard",), anomalies=(3, 8))
    batches = list(plan(benchmark, run_context(benchmark)))
    assert [(b.draw.known_class, b.draw.anomalies) for b in batches] == [("dot", 3)]


def test_every_result_has_the_size_that_was_chosen(dataset, tmp_path):
    auto = small(dataset, "logistic", config=tiny_config(epochs=2).with_image_size("auto"))
    given = small(dataset, "logistic")
    for benchmark, size in ((auto, (224, 224)), (given, (48, 48))):
        run_benchmark(benchmark, tmp_path, resume=True)
        *_, line = (tmp_path / "results.jsonl").read_text().splitlines()
        assert json.loads(line)["image_size"] == list(size)
        *_, result = Results(tmp_path).trials.values()
        assert result.image_size == size
    assert run_benchmark(auto, tmp_path, resume=True).kept == 1


def test_results_of_earlier_versions_have_no_size_and_are_read(dataset, tmp_path):
    run_benchmark(small(dataset, "logistic"), tmp_path)
    file = tmp_path / "results.jsonl"
    values = json.loads(file.read_text())
    del values["image_size"]
    file.write_text(json.dumps(values) + "\n")
    (result,) = Results(tmp_path).trials.values()
    assert result.image_size is None
    del values["seconds"]
    file.write_text(json.dumps(values) + "\n")
    with pytest.raises(DataError, match="results in another format"):
        Results(tmp_path)


def test_trials_depend_on_the_very_weights(dataset, tmp_path):
    def weights(**choice):
        benchmark = small(dataset, "logistic", backbone=BackboneChoice(**choice))
        return run_context(benchmark)["backbone"]["weights"]

    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"")
    assert weights(backbone=DEFAULT_BACKBONE) == PACKAGED[DEFAULT_BACKBONE].sha256
    assert weights(backbone="resnet18", weights=file) == hashlib.sha256(b"").hexdigest()
    assert weights(backbone="resnet18") == "timm"
