"""What the tables say about results that are known in advance."""

import csv
import io
import re

import numpy as np
import pytest

from ahl.benchmark.tables import csv_table, latex, make_sections
from benchmark.made_results import grid, make_result
from benchmark.written_tables import row_of, written


def test_a_cell_has_mean_deviation_interval_and_the_papers_figure(summed):
    summary = summed([make_result("dra", 0.9), make_result("dra", 0.8, seed=1)])
    (cell,) = row_of(written(summary), "DRA")
    assert re.fullmatch(r"\*\*0\.850 ± 0\.071\*\* \[0\.\d\d, [01]\.\d\d\] paper 0\.978", cell)


def test_without_scores_there_is_no_interval_and_one_seed_has_no_deviation(summed):
    text = written(summed([make_result("dra", 0.9)], scored=False))
    assert row_of(text, "DRA") == ["**0.900** paper 0.978"]


def test_methods_stand_in_the_order_of_the_tables_and_the_best_is_bold(summed):
    text = written(summed(grid(["fs-dra", "patchcore", "dra", "ahl-dra"]), scored=False))
    names = re.findall(r"^\| ([A-Z][^|]*) \|", text, re.MULTILINE)[:4]
    assert names == ["AHL(DRA)", "DRA", "PatchCore", "FS-DRA"]
    assert row_of(text, "method") == ["SDD", "HeadCT"]  # as in the paper
    assert row_of(text, "PatchCore")[0].startswith("**0.915")  # FS-DRA sees every class
    assert "**" not in "".join(row_of(text, "FS-DRA"))


def test_hard_setting_and_parts_have_tables_of_their_own(summed):
    results = [
        make_result(
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
    text = written(summed(results, scored=False))
    assert row_of(text, r"AHL(DRA)") == ["**0.800**"]
    assert "### AUROC by parts of MVTec AD" in text
    assert row_of(text, "carpet") == ["**0.750** paper 0.949"]
    assert row_of(text, r"carpet/color") == ["**0.700**"]
    assert row_of(text, r"metal\_nut/bent") == ["**0.900**"]


def test_the_csv_has_every_figure(summed):
    results = grid(["ahl-dra", "dra"], ["ELPV"], setting="hard", known_class="mono")
    rows = list(csv.DictReader(io.StringIO(csv_table(summed(results)))))
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
    assert (first["seeds"], first["trials"], first["missing_trials"]) == ("2", "2", "0")
    assert first["auroc_unseen"] == ""
    assert first["paper_auroc"] != ""
    assert rows[2]["paper_auroc"] == ""


def test_latex_is_escaped_and_balanced(summed):
    results = [
        make_result("dra", 0.9, dataset=r"50%_of $x^2$ & \{more}"),
        make_result("ahl-dra,distributions.clusters=4", 0.95, dataset=r"50%_of $x^2$ & \{more}"),
    ]
    text = latex(make_sections(summed(results)))
    assert r"50\%\_of \$x\textasciicircum{}2\$ \& \textbackslash{}\{more\}" in text
    assert r"\textbf{0.950}" in text
    for command in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{table}", r"\end{table}"):
        assert text.count(command) == 1
    for row in re.findall(r"^    \S.*\\\\$", text, re.MULTILINE):
        assert len(re.findall(r"(?<!\\)&", row)) == 1


def test_hostile_names_do_not_break_the_markdown(summed):
    name = "a|b\n# <script>alert(1)</script> [x](y) `c` *d*"
    text = written(summed([make_result("dra", 0.9, dataset=name)]))
    assert "<script>" not in text
    assert "\n# <" not in text
    head = next(line for line in text.splitlines() if line.startswith("| method |"))
    assert len(re.findall(r"(?<!\\)\|", head)) == 3
