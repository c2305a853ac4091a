"""`ahl predict --output` while its images, its model or its folder become others."""

import json
import shutil

import pytest
from shards import rows_of, told_by_predict

from ahl._common.errors import DataError, ResumeError
from ahl.apps.bulk import shards as bulk_shards
from ahl.apps.bulk.run import score_collection, score_here
from commands import run
from small_images import write_class


def test_a_run_whose_files_change_meanwhile_is_not_complete(model, tmp_path):
    """Which of their bytes were scored is not known: those shards are scored again."""
    paths, out = write_class(tmp_path / "new", "good", 6), tmp_path / "out"

    def meanwhile(job, tasks):
        yield from score_here(job, tasks[:2])
        write_class(tmp_path / "new", "dot", 1, first=2)
        yield from score_here(job, tasks[2:])

    with pytest.raises(DataError, match=r"Files of 1 shard, first of part-00001\.parquet, changed"):
        score_collection(model, [str(tmp_path / "new")], str(out), engine=meanwhile, shard_size=2)
    assert not (out / "_SUCCESS").exists()
    again = run("predict", model, tmp_path / "new", "--output", out, "--shard-size", 2, "--json")
    assert json.loads(again.stdout)["found"] == 2
    assert [row["path"] for row in rows_of(out)] == [str(path) for path in paths]
    assert rows_of(out)[2]["score"] == pytest.approx(
        told_by_predict(model, paths[2])[0]["score"], abs=1e-3
    )


@pytest.mark.parametrize("place", ["out", "memory://out"])
def test_two_runs_do_not_mix_in_one_folder(model, tmp_path, monkeypatch, clean_memory, place):
    """Here the second is refused; in a store the first finds out, at the latest at its end."""
    monkeypatch.chdir(tmp_path)
    new, inputs = tmp_path / "new", [str(tmp_path / "new")]
    write_class(new, "good", 4)
    other = tmp_path / "other.ahl"
    shutil.copy(model, other)
    run("threshold", other, "--max-false-alarm-rate", "0.3", "--json")

    def meanwhile(job, tasks):
        if place != "out":
            clean_memory.rm("/out", recursive=True)
        code = int(place == "out")
        result = run("predict", other, new, "--output", place, code=code)
        assert ("Another run is writing into out: wait until it ends" in result.stderr) is bool(
            code
        )
        yield from score_here(job, tasks)

    if place == "out":
        score_collection(model, inputs, place, engine=meanwhile)
        assert [row["score"] for row in rows_of(tmp_path / "out")] == [
            one["score"] for one in told_by_predict(model, new)
        ]
    else:
        with pytest.raises(ResumeError, match="holds the scores of another run"):
            score_collection(model, inputs, place, engine=meanwhile)


def test_a_model_that_is_replaced_meanwhile_scores_nothing(model, tmp_path, monkeypatch):
    write_class(tmp_path / "new", "good", 2)
    changing = tmp_path / "m.ahl"
    shutil.copy(model, changing)
    opened = bulk_shards.open_scorer

    def replaced(path, **options):
        run("threshold", path, "--max-false-alarm-rate", "0.3")
        return opened(path, **options)

    monkeypatch.setattr(bulk_shards, "open_scorer", replaced)
    options = ("--output", tmp_path / "out")
    refused = run("predict", changing, tmp_path / "new", *options, code=1)
    assert "was replaced during the run" in refused.output
