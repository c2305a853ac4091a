"""Both figures of a dataset that holds photographs of one part: as published, and kept together."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ahl._common.callbacks import Callback
from ahl.benchmark.comparisons import rank_variants
from ahl.benchmark.protocol import TOGETHER, BenchmarkDataset, with_kept_together
from ahl.benchmark.results import Results
from ahl.benchmark.runner import run_benchmark
from ahl.benchmark.summary import Column, summarise_results
from ahl.benchmark.trials import plan, run_context
from ahl.data import open_dataset
from benchmark.small_benchmarks import small
from small_images import blotched


def exposures_of_each_part(root):
    """Two exposures of each of 16 good parts and 8 defects, in the inspection layout."""
    for number in range(24):
        folder = root / ("good" if number < 16 else "dent")
        folder.mkdir(parents=True, exist_ok=True)
        for exposure, light in enumerate((1.0, 0.7)):
            pixels = blotched(number, light)
            if number >= 16:
                pixels[10:20, 10:20] = 0
            Image.fromarray(pixels).save(folder / f"part{number}_{exposure}.png")
    return BenchmarkDataset(name="Tiles", subsets=(open_dataset(root),))


@pytest.mark.parametrize("group_by", [None, r"part\d+"])
def test_both_figures_are_measured(tmp_path, group_by):
    said = []
    callback = Callback()
    callback.on_note = said.append
    dataset = exposures_of_each_part(tmp_path / "tiles")
    plain, together = with_kept_together([dataset], callback, group_by=group_by)
    assert (plain, together.name) == (dataset, f"Tiles{TOGETHER}")
    assert "48 of 48 images share their part with others: measured both ways" in said[0]
    methods = ("logistic", "ahl-devnet")
    benchmark = replace(small(plain, *methods), datasets=[plain, together])
    assert run_benchmark(benchmark, tmp_path / "results").computed == 4
    results = Results(tmp_path / "results")
    for result in results.trials.values():
        parts = [name.split("_")[0] for name in results.scored(result.key).names]
        if result.dataset == "Tiles":
            assert result.duplicates == 0
            assert result.normals == 24
        else:
            assert set(np.unique(parts, return_counts=True)[1]) == {2}, "whole parts are tested"
            assert result.normals == 24
            assert result.duplicates + result.tested_anomalies == 16 - 3
    summary = summarise_results(results)
    assert [column.dataset for column in summary.columns] == ["Tiles", f"Tiles{TOGETHER}"]
    assert rank_variants(summary).columns == 1, "a dataset counts once"


def test_both_figures_stand_side_by_side():
    names = ["SDD", "HeadCT", f"SDD{TOGETHER}", f"HeadCT{TOGETHER}", "mine"]
    columns = [Column("general", 10, name) for name in names]
    ordered = [column.dataset for column in sorted(columns, key=lambda one: one.order)]
    assert ordered[-1] == "mine"
    for name in ("SDD", "HeadCT"):
        assert ordered[ordered.index(name) + 1] == f"{name}{TOGETHER}"


def test_a_dataset_without_them_is_measured_once(dataset):
    said = []
    callback = Callback()
    callback.on_note = said.append
    assert with_kept_together([dataset], callback) == [dataset]
    assert "0 pairs of copies found" in said[0]
    assert "measured once." in said[0]


def test_published_trials_keep_their_keys_and_parts_have_others(tmp_path):
    dataset = exposures_of_each_part(tmp_path)
    _, one = with_kept_together([dataset], Callback())
    _, other = with_kept_together([dataset], Callback(), group_by=r"part\d+_")

    def keys(datasets):
        benchmark = replace(small(dataset, "logistic"), datasets=datasets)
        batches = plan(benchmark, run_context(benchmark))
        return [trial.key for batch in batches for trial in batch.trials]

    assert keys([dataset]) == keys([dataset, one])[:1]
    assert len({*keys([dataset]), *keys([one]), *keys([other])}) == 3
