"""Rivals are as published, but for constants that lift them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ahl.benchmark.fairness import SHARED
from ahl.benchmark.methods import ABLATION_METHODS, METHODS, find_method
from ahl.benchmark.variants import ABLATIONS, Variant
from ahl.config import default, paper

DEVIATIONS = Path(__file__).parents[2] / "docs" / "deviations.md"
RIVALS = [one for one in METHODS if one.kind == "rival" and one.reads_config]


def constants(config):
    """Dotted names and values; image size and fine-tuning are the same for all methods of a run."""
    return {
        f"{section}.{field}": value
        for section, values in config.to_dict().items()
        for field, value in values.items()
        if section not in ("features", "finetune")
    }


def run_by(name, config):
    return constants(Variant.parse(name).configure(config))


@pytest.mark.parametrize("name", [method.name for method in RIVALS])
def test_no_constant_chosen_for_ahl_reaches_a_rival_unless_it_is_listed(name):
    """A constant of ours that weakens a rival makes every table wrong that looks right."""
    published, found = constants(paper()), run_by(name, default())
    leaked = {field for field, value in found.items() if value != published[field]}
    shared = set(SHARED.get(name.removeprefix("fs-"), ()))
    assert leaked - dict(find_method(name).fixed).keys() == shared


def test_rivals_are_five_detectors_and_a_bound():
    assert [one.name for one in RIVALS] == ["dra", "devnet", "flos", "saoe", "mlep", "fs-dra"]


@pytest.mark.parametrize("name", [method.name for method in RIVALS])
def test_a_rival_of_the_paper_preset_is_as_published(name):
    assert run_by(name, paper()) == constants(paper()) | dict(find_method(name).fixed)


def test_what_a_run_sets_reaches_rivals_too():
    shorter = replace(default(), learning=replace(default().learning, epochs=3))
    assert run_by("dra", shorter)["learning.epochs"] == 3


def test_each_shared_constant_is_listed_in_the_documents_with_who_shares_it():
    section = DEVIATIONS.read_text().split("## Constants that rivals share")[1].split("\n## ")[0]
    listed: dict[str, set[str]] = {}
    for constant, rivals in re.findall(r"^\| (`.*?) \| (`.*?) \|", section, re.M):
        for rival in re.findall(r"`(\w+)`", rivals):
            listed.setdefault(rival, set()).update(re.findall(r"`(\w+\.\w+)`", constant))
    assert listed == {rival: set(shared) for rival, shared in SHARED.items()}


def test_the_base_alone_with_our_evidence_differs_from_ahl_by_its_episodes_only():
    for alone, ahl in (("+alone", "ahl-dra"), ("+alone+devnet", "ahl-devnet")):
        changed = dict(set(run_by(alone, default()).items()) ^ set(run_by(ahl, default()).items()))
        assert set(changed) == {"learning.episodes"}
        assert find_method(alone) in ABLATION_METHODS
        assert find_method(alone).detector is find_method(ahl).detector


def test_table_5_compares_parts_that_share_their_constants():
    rows = [run_by(name, default()) for name in ABLATIONS["table5"]]
    apart = {"learning.episodes", "distributions.grouping", "importance.source"}
    for field in rows[0].keys() - apart:
        assert len({row[field] for row in rows}) == 1, field
