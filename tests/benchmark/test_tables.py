"""What the tables say about results that are known in advance."""

import csv
import io
import re

import numpy as np
import pytest

from ahl.benchmark.facts import describe_backbone, read_configs, run_facts
from ahl.benchmark.ranking import critical_difference, rank_methods
from ahl.benchmark.sections import make_sections, sizes_table
from ahl.benchmark.statistics import auroc_replicates, image_counts, interval
from ahl.benchmark.summary import summarise_results
from ahl.benchmark.sweeps import find_sweeps
from ahl.benchmark.tables import csv_table, latex, markdown
from ahl.benchmark.verdicts import digits, find_defeats, verdicts
from benchmark.records import CONTEXT, grid, make_record, make_scores, write_results


@pytest.fixture
def summed(tmp_path):
    def sum_up(records, **options):
        return summarise_results(write_results(tmp_path / "results", records, **options))

    return sum_up


def written(summary):
    return markdown(make_sections(summary), sizes_table(summary), run_facts(summary, {}))


def row_of(text, name):
    """Cells of the first row of a Markdown table with this name."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]


def test_a_cell_has_mean_deviation_interval_and_the_papers_figure(summed):
    summary = summed([make_record("dra", 0.9), make_record("dra", 0.8, seed=1)])
    (cell,) = row_of(written(summary), "DRA")
    assert re.fullmatch(r"\*\*0\.850 ± 0\.071\*\* \[0\.\d\d, [01]\.\d\d\] paper 0\.978", cell)


def test_intervals_come_from_the_scores(summed):
    record = make_record("dra", 0.9)
    summary = summed([record])
    (entry,) = summary.of(summary.columns[0]).values()
    scored = make_scores(3 * 0.4, 0)
    expected = interval(auroc_replicates(scored.labels, scored.scores, image_counts(scored.names)))
    assert (entry.figure.low, entry.figure.high) == expected


def test_without_scores_there_is_no_interval_and_one_seed_has_no_deviation(summed):
    text = written(summed([make_record("dra", 0.9)], scored=False))
    assert row_of(text, "DRA") == ["**0.900** paper 0.978"]


def test_broken_scores_cost_the_interval_only(tmp_path):
    records = [make_record("dra", 0.9), make_record("devnet", 0.8), make_record("flos", 0.7)]
    results = write_results(tmp_path, records)
    results.scores_file(records[0].key).write_text("name,class,label,score\na,b,1,nan\nc,d,0,1\n")
    results.scores_file(records[1].key).write_text("name,class,label,score\na,b,1,2\n")
    results.scores_file(records[2].key).write_text("nonsense")
    for entry in summarise_results(results).entries.values():
        assert entry.figure.low is None


def test_methods_stand_in_the_order_of_the_tables_and_the_best_is_bold(summed):
    text = written(summed(grid(["fs-dra", "patchcore", "dra", "ahl-dra"]), scored=False))
    names = re.findall(r"^\| ([A-Z][^|]*) \|", text, re.MULTILINE)[:4]
    assert names == ["AHL(DRA)", "DRA", "PatchCore", "FS-DRA"]
    assert row_of(text, "method") == ["SDD", "HeadCT"]  # as in the paper
    assert row_of(text, "PatchCore")[0].startswith("**0.915")  # FS-DRA sees every class
    assert "**" not in "".join(row_of(text, "FS-DRA"))


def test_it_says_where_ahl_does_not_win(summed):
    records = [
        make_record("ahl-dra", 0.88),
        make_record("ahl-devnet", 0.95),
        make_record("dra", 0.93),
        make_record("fs-dra", 0.99),
        make_record("ahl-dra", 0.7, dataset="SDD"),
        make_record("dra", 0.9, dataset="SDD"),
        make_record("ahl-dra", 0.9, dataset="ELPV"),
        make_record("dra", 0.9, dataset="ELPV"),
    ]
    summary = summed(records, scored=False)
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


def test_it_says_whether_the_intervals_overlap(summed):
    records = [
        make_record("ahl-dra", 0.55),
        make_record("dra", 1.5),  # far apart in its scores
        make_record("ahl-dra", 0.88, dataset="SDD"),
        make_record("dra", 0.9, dataset="SDD"),
    ]
    summary = summed(records)
    overlaps = {d.column.dataset: d.overlap for d in find_defeats(summary, summary.columns)}
    assert overlaps == {"HeadCT": False, "SDD": True}
    sentences = " ".join(verdicts(summary, summary.columns))
    assert "(intervals overlap)" in sentences
    assert "(intervals do not overlap)" in sentences


def test_variants_of_ahl_are_counted_and_spelt_out_only_alone(summed):
    variant = "ahl-dra,distributions.clusters=4"
    records = [make_record("dra", 0.9), make_record(variant, 0.8)]
    summary = summed(records, scored=False)
    (sentence,) = verdicts(summary, summary.columns)
    assert "against AHL(DRA), distributions.clusters=4 0.800" in sentence
    assert "AHL(DRA), distributions.clusters=4" in written(summary)


def test_variants_beside_plain_ahl_are_counted(summed):
    records = [
        make_record("dra", 0.9),
        make_record("ahl-dra", 0.95),
        make_record("ahl-dra,distributions.clusters=4", 0.8),
        make_record("ahl-dra,distributions.clusters=5", 0.92),
    ]
    summary = summed(records, scored=False)
    (sentence,) = verdicts(summary, summary.columns)
    assert sentence.startswith("AHL as it comes is not beaten on HeadCT")
    assert sentence.endswith("1 of 2 AHL variants with other settings are beaten.")


def test_what_a_method_is_stands_in_its_records_and_not_in_its_name(summed):
    """Methods of one's own, named unlike ours."""
    records = [
        make_record("fs-dra", 0.9, labels="some classes"),  # named like the bound, but a rival
        make_record("mine", 0.8, kind="ahl"),
        make_record("ahl-like", 0.85, kind="rival"),
        make_record("all-seeing", 0.99, labels="every class"),
        make_record("mine-all-seeing", 0.7, kind="ahl", labels="every class"),
        make_record("half-of-mine", 0.97, kind="part"),
    ]
    summary = summed(records, scored=False)
    (sentence,) = verdicts(summary, summary.columns)
    assert sentence.startswith("AHL does not win on HeadCT, general, M = 10: FS-DRA 0.900 against")
    assert sentence.count("against") == 1
    assert "against mine 0.800" in sentence
    assert {entrant.spec for entrant in summary.entrants if entrant.is_ahl} == {"mine"}
    ranking = rank_methods(summary)
    assert [entrant.spec for entrant, _ in ranking.ranks] == ["fs-dra", "ahl-like", "mine"]


def test_parts_of_ahl_are_never_best_and_do_not_beat_it(summed):
    part = make_record("+hadg", 0.99)
    text = written(summed([part, make_record("ahl-dra", 0.9), make_record("dra", 0.8)]))
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
    summary = summed([make_record("+hadg", 0.99), make_record(other, 0.9)])
    assert verdicts(summary, summary.columns) == [sentence]


def test_nothing_to_compare_is_said_too(summed):
    summary = summed([make_record("dra", 0.9), make_record("ahl-dra", 0.9, dataset="SDD")])
    assert verdicts(summary, summary.columns) == [
        "No rival of AHL was measured on SDD, general, M = 10.",
        "No AHL method was measured on HeadCT, general, M = 10.",
    ]


def test_a_method_with_fewer_cells_is_named(summed):
    records = [
        make_record("ahl-dra", 0.9),
        make_record("ahl-dra", 0.9, seed=1),
        make_record("dra", 0.8),
    ]
    text = written(summed(records, scored=False))
    assert "DRA has 1 of 2 cells on HeadCT, general, M = 10" in text


def test_hard_setting_and_parts_have_tables_of_their_own(summed):
    records = [
        make_record(
            "ahl-dra",
            0.7 + 0.1 * place,
            dataset="MVTec AD",
            subset=subset,
            known_class=known,
            setting="hard",
        )
        for place, (subset, known) in enumerate(
            [("carpet", "color"), ("carpet", "cut"), ("metal_nut", "bent")]
        )
    ]
    text = written(summed(records, scored=False))
    assert row_of(text, r"AHL(DRA)") == ["**0.800**"]
    assert "### AUROC by parts of MVTec AD" in text
    assert row_of(text, "carpet") == ["**0.750** paper 0.949"]
    assert row_of(text, r"carpet/color") == ["**0.700**"]
    assert row_of(text, r"metal\_nut/bent") == ["**0.900**"]


def test_the_same_cell_measured_again_counts_once(summed):
    records = [make_record("dra", 0.5, key="a" * 24), make_record("dra", 0.9, key="b" * 24)]
    summary = summed(records, scored=False)
    assert row_of(written(summary), "DRA") == ["**0.900** paper 0.978"]
    assert ("Measured again", "1 earlier records are left out") in run_facts(summary, {})


def test_another_backbone_makes_another_row(summed):
    other = {**CONTEXT, "backbone": {"name": "patches"}}
    records = [make_record("dra", 0.9), make_record("dra", 0.7, context=other)]
    summary = summed(records, scored=False)
    shown = [entrant.shown for entrant in summary.entrants]
    assert len(shown) == 2
    assert all(name.startswith("DRA [backbone ") for name in shown)
    assert {entry.figure.mean for entry in summary.entries.values()} == {0.9, 0.7}
    assert all(entry.paper for entry in summary.entries.values())


def test_methods_with_one_title_are_told_apart(summed):
    records = [make_record("mine-1", title="Mine"), make_record("mine-2", title="Mine")]
    assert [e.shown for e in summed(records).entrants] == ["Mine (mine-1)", "Mine (mine-2)"]


def test_the_csv_has_every_figure(summed):
    records = grid(["ahl-dra", "dra"], ["ELPV"], setting="hard", known_class="mono")
    rows = list(csv.DictReader(io.StringIO(csv_table(summed(records)))))
    assert [(row["method"], row["known_class"]) for row in rows] == [
        ("AHL(DRA)", ""),
        ("DRA", ""),
        ("AHL(DRA)", "mono"),
        ("DRA", "mono"),
    ]
    first = rows[0]
    assert float(first["auroc"]) == pytest.approx(0.945)
    assert float(first["deviation"]) == pytest.approx(np.std([0.95, 0.94], ddof=1), rel=1e-4)
    assert float(first["low"]) < float(first["high"])
    assert (first["seeds"], first["cells"], first["missing_cells"]) == ("2", "2", "0")
    assert first["auroc_unseen"] == ""
    assert first["paper_auroc"] != ""
    assert rows[2]["paper_auroc"] == ""


def test_latex_is_escaped_and_balanced(summed):
    records = [
        make_record("dra", 0.9, dataset=r"50%_of $x^2$ & \{more}"),
        make_record("ahl-dra,distributions.clusters=4", 0.95, dataset=r"50%_of $x^2$ & \{more}"),
    ]
    text = latex(make_sections(summed(records)))
    assert r"50\%\_of \$x\textasciicircum{}2\$ \& \textbackslash{}\{more\}" in text
    assert r"\textbf{0.950}" in text
    for command in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{table}", r"\end{table}"):
        assert text.count(command) == 1
    for row in re.findall(r"^    \S.*\\\\$", text, re.MULTILINE):
        assert len(re.findall(r"(?<!\\)&", row)) == 1


def test_hostile_names_do_not_break_the_markdown(summed):
    name = "a|b\n# <script>alert(1)</script> [x](y) `c` *d*"
    text = written(summed([make_record("dra", 0.9, dataset=name)]))
    assert "<script>" not in text
    assert "\n# <" not in text
    head = next(line for line in text.splitlines() if line.startswith("| method |"))
    assert len(re.findall(r"(?<!\\)\|", head)) == 3


def test_what_was_run_is_stated(summed):
    records = [make_record("dra", 0.9, duplicates=3), make_record("dra", 0.8, seed=4, duplicates=5)]
    summary = summed(records)
    facts = dict(run_facts(summary, {"abcdefabcdef": {"features": {"image_size": 320}}}))
    assert facts["Seeds"] == "2 (0; 4)"
    assert facts["Cells"] == "2"
    assert facts["Image size"] == "320 pixels"
    assert facts["Backbone"] == f"mobilenetv2_100, weights {'0' * 12}"
    assert facts["Version of torch"] == "2.14.1"
    assert facts["Seconds in all"] == "5"
    assert facts["Measured"] == "2026-01-02"
    table = sizes_table(summary)
    assert [cell.text for cell in table.rows[0][1]] == ["2", "75", "25", "30", "3 to 5", "0"]


def test_odd_contexts_and_configs_are_survived(tmp_path, summed):
    assert describe_backbone(None) == "None"
    assert describe_backbone({"kind": "patches", "settings": {"size": 4}, "n": None}) == (
        'patches, settings {"size": 4}'
    )
    assert read_configs(tmp_path / "none") == {}
    (tmp_path / "configs.jsonl").write_text('{"hash": "a", "config": 3}\n{"ha\n[]\n')
    assert read_configs(tmp_path) == {"a": 3}
    summary = summed([make_record(context={})])
    assert dict(run_facts(summary, {"abcdefabcdef": 3}))["Image size"] == "not known"


def test_ranks_need_common_columns_and_many_of_them_for_a_test(summed):
    names = ("AITEX", "SDD", "ELPV", "Optical", "HeadCT")
    records = grid(["ahl-dra", "dra", "fs-dra"], names, seeds=(0,))
    records.append(make_record("flos", 0.99, dataset="SDD"))
    ranking = rank_methods(summed(records, scored=False))
    assert [(entrant.shown, rank) for entrant, rank in ranking.ranks] == [
        ("AHL(DRA)", 1.0),
        ("DRA", 2.0),
    ]
    assert ranking.left_out == ("FLOS",)
    assert ranking.difference == pytest.approx(1.95996 * np.sqrt(6 / 30), rel=1e-4)
    assert "Not ranked, measured on fewer columns: FLOS." in ranking.words


def test_few_columns_give_ranks_without_a_test(summed):
    ranking = rank_methods(summed(grid(["ahl-dra", "dra"]), scored=False))
    assert ranking.difference is None
    assert "too few for a test" in ranking.words


def test_a_single_method_is_not_ranked(summed):
    assert rank_methods(summed(grid(["dra"]), scored=False)) is None


@pytest.mark.parametrize(("methods", "quantile"), [(2, 1.960), (5, 2.728), (10, 3.164)])
def test_critical_difference_is_that_of_the_usual_tables(methods, quantile):
    expected = quantile * np.sqrt(methods * (methods + 1) / (6 * 12))
    assert critical_difference(methods, 12) == pytest.approx(expected, rel=1e-3)
    assert critical_difference(methods, 4) is None


def test_sweeps_are_found_by_the_one_setting_that_varies(summed):
    texts = [f"ahl-dra,distributions.clusters={c}" for c in (10, 2, 3)]
    texts += [f"ahl-dra,importance.source={s}" for s in ("psi", "equal", "measured")]
    texts += ["ahl-dra,importance.history=2", "ahl-dra,importance.history=3", "ahl-dra"]
    summary = summed(grid(texts), scored=False)
    sweeps = find_sweeps(summary, summary.columns)
    assert [(s.title, s.setting, s.values, s.numeric) for s in sweeps] == [
        ("AHL(DRA)", "distributions.clusters", ("2", "3", "10"), True),
        ("AHL(DRA)", "importance.source", ("equal", "measured", "psi"), False),
    ]
    assert [column.dataset for column, _ in sweeps[0].lines] == ["SDD", "HeadCT"]


@pytest.mark.parametrize(
    ("value", "words"), [(None, "-"), (0.99961, "0.999"), (1.0, "1.000"), (0.8744, "0.874")]
)
def test_digits(value, words):
    assert digits(value) == words
