"""The plots are sound SVG that says what it shows."""

import re
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from ahl.benchmark.comparisons import find_sweeps, rank_variants
from ahl.benchmark.plots import draw_bars, draw_ranks, draw_sweep
from ahl.benchmark.summary import summarise_results
from benchmark.made_results import grid, make_result, write_results

SVG = "{http://www.w3.org/2000/svg}"


def texts_of(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def bars(summary, name="plot"):
    return draw_bars(summary, summary.columns[0], name)


def test_bars_name_every_method_and_its_figure(summed):
    svg = bars(summed([make_result("ahl-dra", 0.91), make_result("dra", 0.85)]))
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == "AUROC of each method on HeadCT, general, M = 10"
    words = root.find(f"{SVG}desc").text
    assert words == "AHL(DRA) 0.910, paper 0.993; DRA 0.850, paper 0.978"
    texts = texts_of(svg)
    assert {"AHL(DRA)", "DRA"} <= set(texts)
    assert any(text.startswith("0.910  [0.") for text in texts)


def test_everything_stays_inside_the_page(summed):
    """No prolog, no metadata, no rule for all of the page, no link to elsewhere."""
    svg = bars(summed([make_result("fs-dra", 0.91)]))
    assert svg.startswith("<svg ")
    assert "<metadata" not in svg
    assert "<style" not in svg
    for element in ElementTree.fromstring(svg).iter():
        for attribute, value in element.attrib.items():
            assert "http" not in value
            if attribute.endswith("href"):
                assert value.startswith("#plot-")
            if attribute == "id":
                assert value.startswith("plot-")


def test_references_lead_to_ids(summed):
    root = ElementTree.fromstring(bars(summed(grid(["ahl-dra", "fs-dra"]))))
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', text))
    assert used
    assert {a or b for a, b in used} <= set(ids)


def test_the_same_bytes_each_time_whatever_the_users_style(summed):
    summary = summed(grid(["ahl-dra", "dra"]))
    first = bars(summary)
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red"}):
        assert bars(summary) == first
        assert mpl.rcParams["font.size"] == 30


def test_names_are_drawn_as_they_are(summed):
    svg = bars(summed([make_result("x", title="<b>$\\frac{a}$ & \u4e2d\u0007 \ud800")]))
    assert "<b>$\\frac{a}$ & \u4e2d\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}" in texts_of(
        svg
    )


def test_long_names_are_shortened(summed):
    svg = bars(summed([make_result("x", title="long " * 40)]))
    assert max(map(len, texts_of(svg))) < 70


def test_figures_below_chance_and_without_scores(tmp_path):
    results = [make_result("dra", 0.12), make_result("devnet", 1.0), make_result("flos", 0.0)]
    summary = summarise_results(write_results(tmp_path, results, scored=False))
    assert "0.120" in texts_of(bars(summary))


def test_ranks_show_the_critical_difference_only_with_enough_columns(summed):
    names = ("AITEX", "SDD", "ELPV", "Optical", "HeadCT")
    many = draw_ranks(rank_variants(summed(grid(["ahl-dra", "dra"], names))), "ranks")
    assert any(text.startswith("critical difference 0.8") for text in texts_of(many))
    assert {"AHL(DRA)", "DRA", "1.00", "2.00"} <= set(texts_of(many))


def test_few_columns_are_drawn_without_a_test(summed):
    few = draw_ranks(rank_variants(summed(grid(["ahl-dra", "dra"]))), "ranks")
    assert not any("critical" in text for text in texts_of(few))
    assert "too few for a test" in ElementTree.fromstring(few).find(f"{SVG}desc").text


@pytest.mark.parametrize(
    "values", [("2", "3", "10"), ("psi", "equal", "$x$"), ("1e-9", "0.1", "2")]
)
def test_sweeps_have_a_line_for_each_dataset(summed, values):
    texts = [f"ahl-dra,some.setting={value}" for value in values]
    summary = summed(grid(texts, ("HeadCT", "_hidden")))
    (sweep,) = find_sweeps(summary, summary.columns)
    svg = draw_sweep(sweep, "sweep")
    drawn = texts_of(svg)
    assert {"HeadCT", "hidden", "some.setting", *values} <= set(drawn)
    assert "AUROC of AHL(DRA) over some.setting" in svg
