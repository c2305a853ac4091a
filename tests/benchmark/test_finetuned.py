"""Fine-tuned rows: stage 0 once for each draw and base detector, shared by what stands on it."""

import pytest

from ahl._common.errors import ConfigurationError
from ahl.benchmark import problem
from ahl.benchmark.report import run_facts
from ahl.benchmark.results import Results
from ahl.benchmark.runner import run_benchmark
from ahl.benchmark.summary import summarise_results
from ahl.benchmark.trials import plan
from ahl.heads import DRA, DevNet
from benchmark.small_benchmarks import small

METHODS = ("dra", "ahl-dra", "+alone", "ahl-devnet")


@pytest.fixture
def stages(monkeypatch):
    """The detectors under whose loss a backbone was fine-tuned."""
    seen = []

    def watched(backbone, detector, *rest, **options):
        seen.append(detector)
        return finetune(backbone, detector, *rest, **options)

    finetune = problem.finetune_backbone
    monkeypatch.setattr(problem, "finetune_backbone", watched)
    return seen


def test_methods_of_one_base_share_a_backbone(dataset, stages, tmp_path):
    outcome = run_benchmark(small(dataset, *METHODS, finetune=True), tmp_path)
    assert (outcome.computed, outcome.failed) == (4, ())
    assert stages == [DRA, DevNet]


def test_frozen_and_fine_tuned_figures_are_not_mistaken_for_one_another(dataset, stages, tmp_path):
    run_benchmark(small(dataset, "dra"), tmp_path)
    outcome = run_benchmark(small(dataset, "dra", finetune=True), tmp_path, resume=True)
    assert outcome.computed == 1
    assert stages == [DRA]
    frozen, tuned = sorted(path.read_text() for path in (tmp_path / "scores").iterdir())
    assert frozen != tuned
    summary = summarise_results(Results(tmp_path))
    assert summary.replaced == 0
    shown = [name for table in summary.tables.values() for name in table.index]
    assert shown == ["DRA [features fine-tuned by dra]", "DRA [features frozen]"]
    assert ("Features", "fine-tuned by dra; frozen") in run_facts(summary, {})


def test_a_finished_stage_is_read_by_the_next_run(dataset, tmp_path):
    run_benchmark(small(dataset, "dra", finetune=True), tmp_path)
    (kept,) = (tmp_path / "finetuned").iterdir()
    before = kept.read_bytes(), kept.stat().st_mtime_ns
    outcome = run_benchmark(small(dataset, "dra", "ahl-dra", finetune=True), tmp_path, resume=True)
    assert (outcome.computed, outcome.kept) == (1, 1)
    assert (kept.read_bytes(), kept.stat().st_mtime_ns) == before


def test_a_state_that_is_damaged_is_made_anew(dataset, tmp_path):
    benchmark = small(dataset, "dra", finetune=True)
    run_benchmark(benchmark, tmp_path / "whole")
    (kept,) = (tmp_path / "whole" / "finetuned").iterdir()
    damaged = tmp_path / "damaged" / "finetuned" / kept.name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(kept.read_bytes()[:-9])
    assert run_benchmark(benchmark, tmp_path / "damaged").failed == ()
    assert damaged.read_bytes() == kept.read_bytes()


def test_several_processes_fine_tune_to_the_same_scores(dataset, tmp_path):
    benchmark = small(dataset, "dra", "devnet", finetune=True)
    for jobs in (1, 2):
        run_benchmark(benchmark, tmp_path / str(jobs), jobs=jobs)
    one, two = (
        {path.name: path.read_text() for path in (tmp_path / jobs / "scores").iterdir()}
        for jobs in "12"
    )
    assert one == two
    assert len(one) == 2


def test_a_bound_that_sees_every_class_has_a_stage_of_its_own(dataset, tmp_path):
    run_benchmark(small(dataset, "dra", "fs-dra", finetune=True), tmp_path)
    assert len(list((tmp_path / "finetuned").iterdir())) == 2


def test_what_has_no_base_detector_is_refused_before_anything_is_computed(dataset):
    with pytest.raises(ConfigurationError, match="patchcore cannot take part"):
        list(plan(small(dataset, "dra", "patchcore", finetune=True), {}))


def test_a_transfer_is_refused(dataset):
    with pytest.raises(ConfigurationError, match="frozen features"):
        list(plan(small(dataset, "dra", finetune=True, transfer=True), {}))
