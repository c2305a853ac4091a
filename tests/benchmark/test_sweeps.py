"""Sweeps: methods that differ in the value of one setting."""

from ahl.benchmark.comparisons import find_sweeps
from benchmark.made_results import grid


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
