"""The page stands alone: whole HTML, nothing fetched, nothing from the data taken for markup."""

import re

import pytest

from ahl.benchmark.comparisons import rank_variants
from ahl.benchmark.report import make_page, run_facts
from ahl.benchmark.summary import summarise_results
from ahl.benchmark.tables import make_sections, sizes_table
from benchmark.made_results import grid, make_result, write_results
from html_reader import read

HOSTILE = "<script>alert('x')</script>\"><img src=http://evil.example/ onerror=a()>{{ 7*7 }}"


@pytest.fixture
def page(tmp_path):
    def make(results):
        summary = summarise_results(write_results(tmp_path / "results", results))
        sections = make_sections(summary)
        sizes, facts = sizes_table(summary), run_facts(summary, {})
        return make_page(summary, sections, sizes, facts, rank_variants(summary))

    return make


@pytest.fixture
def full(page):
    """Two settings, a sweep, classes and a rank test."""
    results = grid(["ahl-dra", "dra", "fs-dra"], ("AITEX", "SDD", "ELPV", "HeadCT", "Optical"))
    results += grid(["ahl-dra", "dra"], ["ELPV"], setting="hard", known_class="mono")
    results += grid([f"ahl-dra,distributions.clusters={c}" for c in (2, 3, 4)])
    return page(results)


def test_the_page_is_whole(full):
    reader = read(full)
    assert full.lstrip().startswith("<!DOCTYPE html>")
    assert reader.tags.count("h1") == 1
    assert reader.tags.count("table") == 6 + 7 + 1
    assert reader.tags.count("svg") == 5 + 1 + 1 + 1
    assert {"nav", "main", "header"} <= set(reader.tags)


def test_contents_lead_to_headings_and_ids_are_unique(full):
    reader = read(full)
    ids = reader.values("id")
    assert len(ids) == len(set(ids))
    links = [value for value in reader.values("href") if value.startswith("#section")]
    assert links == ["#section-1", "#section-2"]
    assert {value[1:] for value in reader.values("href")} <= set(ids)
    for name in reader.values("aria-labelledby"):
        assert set(name.split()) <= set(ids)


def test_nothing_is_fetched(full):
    reader = read(full)
    assert not {"script", "link", "iframe", "img", "object", "embed"} & set(reader.tags)
    assert "@import" not in full
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", full))
    for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
        assert all(value.startswith("#") for value in reader.values(name))
    rest = re.sub(r'xmlns(:\w+)?="[^"]*"', "", full)
    assert "http" not in rest


def test_dark_print_and_narrow_are_catered_for(full):
    for rule in ("prefers-color-scheme: dark", "@media print", "overflow-x: auto"):
        assert rule in full
    reader = read(full)
    assert "width=device-width, initial-scale=1" in reader.values("content")
    assert reader.values("class").count("scroll") == reader.tags.count("table")


def test_every_plot_says_what_it_shows(full):
    for svg in re.findall(r"<svg .*?</svg>", full, re.DOTALL):
        assert 'role="img"' in svg
        assert re.search(r"<title id=[^>]*>[^<]+</title>", svg)
        assert re.search(r"<desc id=[^>]*>[^<]+</desc>", svg)


@pytest.mark.parametrize("field", ["dataset", "subset", "setting", "known_class", "title"])
def test_hostile_names_are_text(page, field):
    results = [
        make_result(method, 0.9, **{"known_class": "a", field: HOSTILE})
        for method in ("x,some.field=1", "x,some.field=2", "x,some.field=3")
    ]
    html = page(results)
    reader = read(html)
    assert not {"script", "img"} & set(reader.tags)
    assert reader.values("onerror") == []
    assert "49" not in re.sub(r"<svg .*?</svg>", "", html, flags=re.DOTALL)
    assert any(HOSTILE in text for text in reader.texts)


def test_hostile_methods_contexts_and_versions_are_text(page):
    context = {"backbone": {"name": HOSTILE}, "device": HOSTILE, "torch": HOSTILE, "threads": []}
    results = [make_result(HOSTILE, 0.9, context=context, finished=HOSTILE, config=HOSTILE)]
    reader = read(page(results))
    assert not {"script", "img"} & set(reader.tags)


def test_bold_best_and_verdict_are_on_the_page(page):
    html = page([make_result("ahl-dra", 0.8), make_result("dra", 0.9)])
    assert "<strong>0.900</strong>" in html
    assert "AHL does not win on HeadCT, general, M = 10: DRA 0.900" in html
    assert "paper 0.978" in html
