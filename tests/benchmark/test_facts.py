"""What was run is stated, also where results and configs are odd."""

from itertools import permutations

import pytest

from ahl.benchmark.report import describe_backbone, read_configs, run_facts
from ahl.benchmark.tables import sizes_table
from benchmark.made_results import CONTEXT, make_result


def test_what_was_run_is_stated(summed):
    results = [make_result("dra", 0.9, duplicates=3), make_result("dra", 0.8, seed=4, duplicates=5)]
    summary = summed(results)
    facts = dict(run_facts(summary, {"abcdefabcdef": {"features": {"image_size": 320}}}))
    assert facts["Seeds"] == "2 (0; 4)"
    assert facts["Trials"] == "2"
    assert facts["Image size"] == "320 x 320 px"
    assert facts["Backbone"] == f"mobilenetv2_100, weights {'0' * 12}"
    assert facts["Version of torch"] == "2.14.1"
    assert facts["Seconds in all"] == "5"
    assert facts["Measured"] == "2026-01-02"
    table = sizes_table(summary)
    assert [cell.text for cell in table.rows[0][1]] == ["2", "75", "25", "30", "3 to 5", "0"]


@pytest.mark.parametrize("keys", [*permutations("abc")])
def test_sizes_and_versions_are_in_order_whatever_the_hashes_of_the_trials(summed, keys):
    sizes, versions = [(96, 480), None, (480, 96)], ["2.1", "2.3", "2.2"]
    results = [
        make_result(name, key=key, image_size=size, context=CONTEXT | {"torch": version})
        for name, key, size, version in zip(
            ("dra", "devnet", "flos"), keys, sizes, versions, strict=True
        )
    ]
    facts = dict(run_facts(summed(results), {}))
    assert facts["Image size"] == "96 x 480 px; 480 x 96 px; not known"
    assert facts["Version of torch"] == "2.1; 2.2; 2.3"


def test_odd_contexts_and_configs_are_survived(tmp_path, summed):
    assert describe_backbone(None) == "None"
    assert describe_backbone({"kind": "patches", "settings": {"size": 4}, "n": None}) == (
        'patches, settings {"size": 4}'
    )
    assert read_configs(tmp_path / "none") == {}
    (tmp_path / "configs.jsonl").write_text('{"hash": "a", "config": 3}\n{"ha\n[]\n')
    assert read_configs(tmp_path) == {"a": 3}
    summary = summed([make_result(context={})])
    assert dict(run_facts(summary, {"abcdefabcdef": 3}))["Image size"] == "not known"
