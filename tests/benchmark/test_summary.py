"""One figure for each method and column: which records count, and under which name."""

from ahl.benchmark.facts import run_facts
from ahl.benchmark.statistics import auroc_replicates, image_counts, interval
from ahl.benchmark.summary import summarise_results
from benchmark.records import CONTEXT, make_record, make_scores, write_results
from benchmark.written_tables import row_of, written


def test_intervals_come_from_the_scores(summed):
    record = make_record("dra", 0.9)
    summary = summed([record])
    (entry,) = summary.of(summary.columns[0]).values()
    scored = make_scores(3 * 0.4, 0)
    expected = interval(auroc_replicates(scored.labels, scored.scores, image_counts(scored.names)))
    assert (entry.figure.low, entry.figure.high) == expected


def test_broken_scores_cost_the_interval_only(tmp_path):
    records = [make_record("dra", 0.9), make_record("devnet", 0.8), make_record("flos", 0.7)]
    results = write_results(tmp_path, records)
    results.scores_file(records[0].key).write_text("name,class,label,score\na,b,1,nan\nc,d,0,1\n")
    results.scores_file(records[1].key).write_text("name,class,label,score\na,b,1,2\n")
    results.scores_file(records[2].key).write_text("nonsense")
    for entry in summarise_results(results).entries.values():
        assert entry.figure.low is None


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
