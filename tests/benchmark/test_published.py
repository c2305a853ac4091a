"""The paper's figures, looked up as the tables of the report do."""

import csv
from importlib import resources

import pytest

from ahl.benchmark.methods import METHODS
from ahl.benchmark.published import published, published_datasets, published_figures


def test_every_line_of_the_file_is_a_figure():
    with resources.files("ahl.benchmark").joinpath("published.csv").open() as file:
        rows = list(csv.DictReader(file))
    figures = published_figures()
    assert len(figures) == len(rows)
    assert all(0 <= one.mean <= 1 for one in figures)
    assert [one.table for one in figures] == sorted(one.table for one in figures)


@pytest.mark.parametrize(
    ("dataset", "setting", "anomalies", "title", "mean"),
    [
        ("HeadCT", "general", 10, "AHL(DRA)", 0.993),
        ("HeadCT", "general", 1, "AHL(DRA)", 0.825),
        ("ELPV", "general", 10, "AHL(DRA)", 0.850),
        ("ELPV", "general", 10, "PatchCore", 0.916),
        ("AITEX", "general", 10, "+ HADG", 0.916),
        ("AITEX", "general", 10, "+ RamHADG + DevNet", 0.894),
        ("Hyper-Kvasir", "general", 10, "PatchCore", 0.494),
    ],
)
def test_known_figures(dataset, setting, anomalies, title, mean):
    found = published(dataset, setting, anomalies, title)
    assert found is not None
    assert found[0] == mean


def test_the_lowest_table_counts():
    """Table 7 has another figure for DRA on HeadCT than table 1."""
    both = {
        one.table: one.mean
        for one in published_figures()
        if (one.dataset, one.setting, one.anomalies, one.method) == ("HeadCT", "general", 10, "DRA")
    }
    assert both[7] != both[1]
    assert published("HeadCT", "general", 10, "DRA") == (both[1], 0.001)


def test_categories_of_mvtec_are_datasets_of_the_paper():
    carpet = published("MVTec AD", "hard", 10, "AHL(DRA)", subset="carpet")
    assert carpet is not None
    assert carpet == published("Carpet", "hard", 10, "AHL(DRA)")
    assert published("MVTec AD", "hard", 1, "DevNet", subset="metal_nut") is not None
    assert published("MVTec AD", "hard", 10, "AHL(DRA)") is None
    assert published("MVTec AD", "general", 10, "DRA", subset="toothbrush") is not None
    assert published("Other", "general", 10, "DRA", subset="carpet") is None


def test_names_are_matched_whatever_their_case():
    assert published("hyper kvasir", "hard", 10, "AHL(DRA)") is not None
    assert published("mvtec ad", "hard", 10, "DRA", "Metal Nut") is not None


def test_the_four_overlaps_of_table_10():
    def overlap(kind):
        title = f"AHL(DRA), distributions.anomaly_overlap={kind}"
        return published("AITEX", "general", 10, title)

    assert overlap("support_in_query") == (0.918, None)
    assert overlap("query_in_support") == (0.917, None)
    assert overlap("both") == (0.917, None)
    assert overlap("disjoint") == published("AITEX", "general", 10, "AHL(DRA)")


@pytest.mark.parametrize(
    ("dataset", "setting", "anomalies", "title"),
    [
        ("HeadCT", "general", 5, "AHL(DRA)"),
        ("HeadCT", "hard", 10, "AHL(DRA)"),
        ("HeadCT", "general", 10, "AHL(DRA), distributions.clusters=4"),
        ("HeadCT", "general", 10, "Logistic regression"),
        ("HeadCT", "general", 1, "PatchCore"),
        ("No such", "general", 10, "AHL(DRA)"),
        ("", "general", 10, "AHL(DRA)"),
    ],
)
def test_what_the_paper_has_not(dataset, setting, anomalies, title):
    assert published(dataset, setting, anomalies, title) is None


def test_titles_of_the_papers_methods_are_known():
    named = {method.title for method in METHODS} - {"Logistic regression"}
    assert named <= {one.method for one in published_figures()}


def test_datasets_come_in_the_papers_order():
    assert published_datasets()[:3] == ("AITEX", "SDD", "ELPV")
