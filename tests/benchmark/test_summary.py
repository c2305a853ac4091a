"""One figure for each method and column: which results count, and under which name."""

import sys
from itertools import permutations

import numpy as np
import pytest

from ahl._common.errors import ConfigurationError
from ahl.benchmark.bootstrap import auroc_replicates, image_counts, interval
from ahl.benchmark.report import run_facts
from ahl.benchmark.summary import rows_of, summarise_results
from benchmark.made_results import CONTEXT, make_result, make_scores, write_results
from benchmark.written_tables import row_of, written


def test_intervals_come_from_the_scores(summed):
    result = make_result("dra", 0.9)
    summary = summed([result])
    (figures,) = rows_of(summary.tables[summary.columns[0]])
    scored = make_scores(3 * 0.4, 0)
    expected = interval(auroc_replicates(scored.labels, scored.scores, image_counts(scored.names)))
    assert (figures.low, figures.high) == expected


def test_broken_scores_cost_the_interval_only(tmp_path):
    results = [make_result("dra", 0.9), make_result("devnet", 0.8), make_result("flos", 0.7)]
    folder = write_results(tmp_path, results)
    folder.scores_file(results[0].key).write_text("name,class,label,score\na,b,1,nan\nc,d,0,1\n")
    folder.scores_file(results[1].key).write_text("name,class,label,score\na,b,1,2\n")
    for text in ("nonsense", "name,class,label,score\na,b\n", "name,class\0,label,score\n\0"):
        folder.scores_file(results[2].key).write_text(text)
        for table in summarise_results(folder).tables.values():
            assert table["low"].isna().all()


def test_the_same_cell_measured_again_counts_once(summed):
    results = [make_result("dra", 0.5, key="a" * 24), make_result("dra", 0.9, key="b" * 24)]
    summary = summed(results, scored=False)
    assert row_of(written(summary), "DRA") == ["**0.900** paper 0.978"]
    assert ("Measured again", "1 earlier results are left out") in run_facts(summary, {})


def test_another_backbone_makes_another_row(summed):
    other = {**CONTEXT, "backbone": {"name": "patches"}}
    results = [make_result("dra", 0.9), make_result("dra", 0.7, context=other)]
    summary = summed(results, scored=False)
    shown = list(summary.variants)
    assert len(shown) == 2
    assert all(name.startswith("DRA [backbone ") for name in shown)
    (table,) = summary.tables.values()
    assert set(table["auroc"]) == {0.9, 0.7}
    assert table["paper_auroc"].notna().all()


def test_methods_with_one_title_are_told_apart(summed):
    results = [make_result("mine-1", title="Mine"), make_result("mine-2", title="Mine")]
    assert list(summed(results).variants) == ["Mine (mine-1)", "Mine (mine-2)"]


def only(summary):
    """The figures of one variant in the first column."""
    (figures,) = rows_of(summary.tables[summary.columns[0]])
    return figures


def test_a_figure_is_the_mean_over_seeds_of_means_over_classes(summed):
    results = [
        make_result(auroc=0.8, seed=0, known_class="a", setting="hard"),
        make_result(auroc=0.6, seed=0, known_class="b", setting="hard"),
        make_result(auroc=0.9, seed=1, known_class="a", setting="hard", seconds=5.0),
    ]
    figures = only(summed(results, scored=False))
    assert figures.auroc == pytest.approx((0.7 + 0.9) / 2)
    assert figures.deviation == pytest.approx(np.std([0.7, 0.9], ddof=1))
    assert np.isnan([figures.low, figures.high]).all()
    assert (figures.seeds, figures.trials) == (2, 3)
    assert figures.seconds == pytest.approx(10 / 3)
    assert np.isnan(figures.auroc_unseen)
    assert figures.fpr95 == pytest.approx((0.2 + 0.4 + 0.1) / 3)


def test_the_interval_of_a_figure_is_that_of_the_averaged_replicates(tmp_path):
    results = [make_result(auroc=0.8), make_result(auroc=0.6, seed=1)]
    folder = write_results(tmp_path, results)
    tests = [folder.scored(result.key) for result in results]
    replicates = [auroc_replicates(t.labels, t.scores, image_counts(t.names)) for t in tests]
    figures = only(summarise_results(folder))
    expected = interval((replicates[0] + replicates[1]) / 2)
    assert (figures.low, figures.high) == pytest.approx(expected)
    folder.scores_file(results[1].key).unlink()
    assert np.isnan(only(summarise_results(folder)).low)


def test_the_interval_of_a_hard_figure_is_over_all_of_its_classes(tmp_path):
    """As the figure itself: the mean over seeds of each seed's mean over classes."""
    draws = ((0.8, 0, "a"), (0.6, 0, "b"), (0.7, 1, "a"))
    results = [
        make_result(auroc=auroc, seed=seed, known_class=known, setting="hard")
        for auroc, seed, known in draws
    ]
    folder = write_results(tmp_path, results)
    tests = [folder.scored(result.key) for result in results]
    one, two, three = (auroc_replicates(t.labels, t.scores, image_counts(t.names)) for t in tests)
    figures = only(summarise_results(folder))
    assert (figures.low, figures.high) == pytest.approx(interval(((one + two) / 2 + three) / 2))


def test_one_seed_has_no_deviation(summed):
    assert only(summed([make_result(auroc=0.8)])).deviation == 0.0


def test_the_order_of_sums_unties_nothing(summed):
    orders = enumerate(permutations((0.8444, 0.758, 0.4206)))
    results = [
        make_result(f"mine-{number}", value, seed=seed)
        for number, values in orders
        for seed, value in enumerate(values)
    ]
    summary = summed(results, scored=False)
    table = summary.tables[summary.columns[0]]
    assert (len(table), table["auroc"].nunique()) == (6, 1)


def test_without_pandas_one_sentence_says_what_to_install(summed, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'ahl\[benchmark\]'"):
        summed([make_result()])
