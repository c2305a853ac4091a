"""Where AHL wins and where it does not: what counts as AHL, as a rival, and as a defeat."""

import pytest

from ahl.benchmark.comparisons import find_defeats, rank_variants, verdicts
from benchmark.made_results import make_result
from benchmark.written_tables import row_of, written


def test_it_says_where_ahl_does_not_win(summed):
    results = [
        make_result("ahl-dra", 0.88),
        make_result("ahl-devnet", 0.95),
        make_result("dra", 0.93),
        make_result("fs-dra", 0.99),
        make_result("ahl-dra", 0.7, dataset="SDD"),
        make_result("dra", 0.9, dataset="SDD"),
        make_result("ahl-dra", 0.9, dataset="ELPV"),
        make_result("dra", 0.9, dataset="ELPV"),
    ]
    summary = summed(results, scored=False)
    assert verdicts(summary, summary.columns) == [
        "AHL does not win on SDD, general, M = 10: DRA 0.900 against AHL(DRA) 0.700 "
        "(an interval is missing).",
        "AHL(DRA) does not win on HeadCT, general, M = 10: DRA 0.930 against AHL(DRA) 0.880 "
        "(an interval is missing); not beaten: AHL(DevNet) 0.950.",
        "No rival is better than AHL on: ELPV, general, M = 10.",
    ]
    assert all(
        sentence.split(" on ")[0] in written(summary).replace("\\", "")
        for sentence in verdicts(summary, summary.columns)
    )


def test_the_best_rival_decides(summed):
    """A worse one beside it changes nothing."""
    results = [make_result("ahl-dra", 0.8), make_result("dra", 0.9), make_result("devnet", 0.7)]
    summary = summed(results)
    assert list(find_defeats(summary, summary.columns[0])) == ["AHL(DRA)"]


def test_it_says_whether_the_intervals_overlap(summed):
    results = [
        make_result("ahl-dra", 0.55),
        make_result("dra", 1.5),  # far apart in its scores
        make_result("ahl-dra", 0.88, dataset="SDD"),
        make_result("dra", 0.9, dataset="SDD"),
    ]
    summary = summed(results)
    overlaps = {column.dataset: find_defeats(summary, column) for column in summary.columns}
    assert overlaps == {"HeadCT": {"AHL(DRA)": False}, "SDD": {"AHL(DRA)": True}}
    sentences = " ".join(verdicts(summary, summary.columns))
    assert "(intervals overlap)" in sentences
    assert "(intervals do not overlap)" in sentences


def test_variants_of_ahl_are_counted_and_spelt_out_only_alone(summed):
    variant = "ahl-dra,distributions.clusters=4"
    results = [make_result("dra", 0.9), make_result(variant, 0.8)]
    summary = summed(results, scored=False)
    (sentence,) = verdicts(summary, summary.columns)
    assert "against AHL(DRA), distributions.clusters=4 0.800" in sentence
    assert "AHL(DRA), distributions.clusters=4" in written(summary)


def test_variants_beside_plain_ahl_are_counted(summed):
    results = [
        make_result("dra", 0.9),
        make_result("ahl-dra", 0.95),
        make_result("ahl-dra,distributions.clusters=4", 0.8),
        make_result("ahl-dra,distributions.clusters=5", 0.92),
    ]
    summary = summed(results, scored=False)
    (sentence,) = verdicts(summary, summary.columns)
    assert sentence.startswith("AHL as it comes is not beaten on HeadCT")
    assert sentence.endswith("1 of 2 AHL variants with other settings are beaten.")


def test_what_a_method_is_stands_in_its_results_and_not_in_its_name(summed):
    """Methods of one's own, named unlike ours."""
    results = [
        make_result("fs-dra", 0.9, labels="some classes"),  # named like the bound, but a rival
        make_result("mine", 0.8, kind="ahl"),
        make_result("ahl-like", 0.85, kind="rival"),
        make_result("all-seeing", 0.99, labels="every class"),
        make_result("mine-all-seeing", 0.7, kind="ahl", labels="every class"),
        make_result("half-of-mine", 0.97, kind="part"),
    ]
    summary = summed(results, scored=False)
    (sentence,) = verdicts(summary, summary.columns)
    assert sentence.startswith("AHL does not win on HeadCT, general, M = 10: FS-DRA 0.900 against")
    assert sentence.count("against") == 1
    assert "against mine 0.800" in sentence
    assert {one.text for one in summary.variants.values() if one.is_ahl} == {"mine"}
    ranking = rank_variants(summary)
    assert [variant.text for variant, _ in ranking.ranks] == ["fs-dra", "ahl-like", "mine"]


def test_parts_of_ahl_are_never_best_and_do_not_beat_it(summed):
    part = make_result("+hadg", 0.99)
    text = written(summed([part, make_result("ahl-dra", 0.9), make_result("dra", 0.8)]))
    assert "No rival is better than AHL on: HeadCT" in text
    assert row_of(text, "+ HADG")[0].startswith("0.990")
    assert row_of(text, "AHL(DRA)")[0].startswith("**0.900")


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ("ahl-dra", "No rival of AHL was measured on HeadCT, general, M = 10."),
        ("dra", "No AHL method was measured on HeadCT, general, M = 10."),
    ],
)
def test_parts_are_neither_ahl_nor_rivals(summed, other, sentence):
    summary = summed([make_result("+hadg", 0.99), make_result(other, 0.9)])
    assert verdicts(summary, summary.columns) == [sentence]


def test_nothing_to_compare_is_said_too(summed):
    summary = summed([make_result("dra", 0.9), make_result("ahl-dra", 0.9, dataset="SDD")])
    assert verdicts(summary, summary.columns) == [
        "No rival of AHL was measured on SDD, general, M = 10.",
        "No AHL method was measured on HeadCT, general, M = 10.",
    ]


def test_a_method_with_fewer_trials_is_named(summed):
    results = [
        make_result("ahl-dra", 0.9),
        make_result("ahl-dra", 0.9, seed=1),
        make_result("dra", 0.8),
    ]
    text = written(summed(results, scored=False))
    assert "DRA has 1 of 2 trials on HeadCT, general, M = 10" in text
