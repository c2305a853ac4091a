"""`ahl predict --output`: the same values as printed, shard by shard, resumable."""

import json
import os
import shutil

import pytest
from shards import files_of, pa, rows_of, told_by_predict, write_rows

from ahl.apps.bulk import fetching
from ahl.apps.bulk import run as bulk_run
from ahl.apps.bulk.run import score_collection, score_here
from commands import run
from small_images import write_class

OUTCOME = ("images", "unreadable", "unfetched", "shards", "found")


def outcome(result):
    told = json.loads(result.stdout)
    return tuple(told[name] for name in OUTCOME)


def test_the_values_are_those_of_predict(model, inspection_folder, tmp_path):
    out = tmp_path / "out"
    result = run("predict", model, inspection_folder, "--output", out, "--shard-size", 16)
    assert f"30 images scored in 2 Parquet files: {out}" in result.stdout
    told = told_by_predict(model, inspection_folder)
    # Shards of whole batches, and no image that fails: to the last digit.
    assert rows_of(out) == told
    assert {"anomalous", "verdict", "probability", "evidence"} <= set(told[0])
    assert json.loads((out / "_SUCCESS").read_text())["anomalous"] == sum(
        row["anomalous"] for row in told
    )


def test_workers_elsewhere_are_given_whole_paths(model, inspection_folder, tmp_path, monkeypatch):
    def elsewhere(job, tasks):
        monkeypatch.chdir("/")
        return score_here(job, tasks)

    monkeypatch.chdir(inspection_folder.parent)
    inputs = [inspection_folder.name]
    out = tmp_path / "out"
    score_collection(model, inputs, os.path.relpath(out), engine=elsewhere, shard_size=16)
    assert [row["score"] for row in rows_of(out)] == [
        one["score"] for one in told_by_predict(model, inspection_folder)
    ]


def test_unreadable_images_are_rows(model, tmp_path):
    files = write_class(tmp_path / "new", "dot", 6)
    files[2].write_text("no image")
    paths = [*files[:4], tmp_path / "gone.png", *files[4:]]
    out = tmp_path / "out"
    options = ("--output", out, "--shard-size", 4, "--json")
    result = run("predict", model, *paths, *options, code=3)
    assert outcome(result) == (7, 2, 0, 2, 0)
    told = told_by_predict(model, *paths, code=3)
    rows = rows_of(out)
    assert [set(row) for row in rows] == [set(one) for one in told]
    for row, one in zip(rows, told, strict=True):
        assert row["path"] == one["path"]
        assert row.get("error") == one.get("error")
        # Another batch: the last digits may differ.
        assert row.get("score") == pytest.approx(one.get("score"), abs=1e-3)
    told_again = run("predict", model, *paths, *options, code=3)
    assert outcome(told_again) == (7, 2, 0, 2, 2), "what was unreadable stays so"


def test_only_what_is_missing_is_scored_again(model, inspection_folder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    command = ("predict", model, inspection_folder, "--output", out, "--shard-size", 8, "--json")
    assert outcome(run(*command)) == (30, 0, 0, 4, 0)
    before = files_of(out)
    (out / "part-00001.parquet").unlink()
    (out / "part-00002.parquet").write_bytes(before["part-00002.parquet"][:-100])
    shutil.copy(out / "part-00000.parquet", out / "part-00003.parquet")  # another's
    kept = (out / "part-00000.parquet").stat().st_mtime_ns
    assert outcome(run(*command)) == (30, 0, 0, 4, 1)
    assert files_of(out) == before
    assert (out / "part-00000.parquet").stat().st_mtime_ns == kept
    monkeypatch.setattr("ahl.apps.bulk.run.ShardScorer", None)  # nothing left: no model is loaded
    assert outcome(run(*command)) == (30, 0, 0, 4, 4)


def test_shards_of_files_that_changed_are_scored_again(model, inspection_folder, tmp_path):
    """A name never has scores of its old bytes beside those of its new ones."""
    new, out = tmp_path / "new", tmp_path / "out"
    paths = write_class(new, "good", 6)
    command = ("predict", model, new, "--output", out, "--shard-size", 2, "--json")
    run(*command)
    before = files_of(out)
    (out / "part-00000.parquet").unlink()  # as if the run had been killed
    (new / "002.png").write_bytes((inspection_folder / "dot" / "000.png").read_bytes())
    assert outcome(run(*command)) == (6, 0, 0, 3, 1)
    after = files_of(out)
    same = [name for name in before if name.startswith("part") and before[name] == after[name]]
    assert same == ["part-00000.parquet", "part-00002.parquet"]
    assert [row["path"] for row in rows_of(out)] == [str(path) for path in paths]


def test_names_that_are_not_utf_8_are_scored(model, tmp_path):
    (path,) = write_class(tmp_path / "new", "good", 1)
    path.rename(path.with_name(os.fsdecode(b"caf\xe9.png")))
    run("predict", model, tmp_path / "new", "--output", tmp_path / "out")
    (row,) = rows_of(tmp_path / "out")
    assert row["path"].endswith("caf\\xe9.png")
    assert "score" in row


def test_the_folder_of_another_run_is_refused(model, inspection_folder, tmp_path):
    new = tmp_path / "new"
    write_class(new, "good", 3)
    out = tmp_path / "out"
    run("predict", model, new, "--output", out)
    before = files_of(out)
    other = tmp_path / "other.ahl"
    shutil.copy(model, other)
    run("threshold", other, "--max-false-alarm-rate", "0.3", "--json")
    for arguments, said in (
        ((other, new), "it used another model"),
        ((model, inspection_folder), "its inputs were different (3 images)"),
        ((model, new, "--shard-size", 2), "its --shard-size was 1024"),
        ((model, new, "--device", "cpu"), "its --device was auto"),
    ):
        refused = run("predict", *arguments, "--output", out, code=1)
        assert said in refused.output
        assert "Name another folder" in refused.output
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    shutil.copy(out / "part-00000.parquet", foreign / "mine.parquet")
    assert (
        "that `ahl` did not write" in run("predict", model, new, "--output", foreign, code=1).output
    )
    assert files_of(out) == before
    for text in (b"[" * 100_000, b'{"run": NaN}', b"\xff", b"[]"):
        (out / "_ahl_run.json").write_bytes(text)
        refused = run("predict", model, new, "--output", out, code=1)
        assert "its _ahl_run.json cannot be read" in refused.output


def test_another_version_of_what_computes_makes_another_run(monkeypatch):
    versions = dict.fromkeys(("torch", "onnxruntime", "openvino"), "1")
    monkeypatch.setattr(bulk_run.metadata, "version", versions.__getitem__)
    cases = ((False, "auto"), (True, "auto"), (True, "openvino"))

    def fingerprints():
        return [bulk_run._fingerprint({"device": on}, exported=is_) for is_, on in cases]

    before = fingerprints()
    versions["onnxruntime"] = "2"  # of an exported model; that of torch does not matter there
    after = fingerprints()
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]


def test_from_tables_and_into_a_store(model, inspection_folder, tmp_path, clean_memory):
    files = sorted((inspection_folder / "good").iterdir())[:20]
    encoded = write_rows(
        tmp_path / "e.parquet", "image", [f.read_bytes() for f in files], pa.binary(), group=7
    )
    listed = write_rows(tmp_path / "l.parquet", "image", [str(f) for f in files], pa.string())
    for file in files:
        clean_memory.pipe_file(f"/in/{file.name}", file.read_bytes())
    rows = {}
    for name, source in (("e", encoded), ("l", listed), ("u", "memory://in")):
        output = f"memory://out/{name}"
        options = ("--output", output, "--column", "image", "--shard-size", 16, "--json")
        assert outcome(run("predict", model, source, *options)) == (20, 0, 0, 2, 0)
        assert outcome(run("predict", model, source, *options)) == (20, 0, 0, 2, 2)
        local = tmp_path / name
        local.mkdir()
        for path in clean_memory.ls(f"/out/{name}", detail=False):
            (local / path.rsplit("/", 1)[-1]).write_bytes(clean_memory.cat_file(path))
        rows[name] = rows_of(local)
    told = told_by_predict(model, *files)
    assert rows["l"] == told
    assert [row["path"] for row in rows["e"]] == [f"{encoded}#{n}" for n in range(20)]
    for name in ("e", "u"):
        assert [row["score"] for row in rows[name]] == [one["score"] for one in told]


def test_what_a_store_does_not_give_is_tried_again(
    model, inspection_folder, tmp_path, clean_memory, monkeypatch
):
    monkeypatch.setattr(fetching, "_PAUSES", ())
    files = sorted((inspection_folder / "good").iterdir())[:6]
    for file in files:
        clean_memory.pipe_file(f"/in/{file.name}", file.read_bytes())
    given, broken = type(clean_memory).cat_file, {"/in/001.png"}

    def cat_file(self, path, **options):
        if path in broken:
            raise TimeoutError("the store is busy")
        return given(self, path, **options)

    out = tmp_path / "out"
    command = ("predict", model, "memory://in", "--output", out, "--shard-size", 2)
    with monkeypatch.context() as patched:
        patched.setattr(type(clean_memory), "cat_file", cat_file)
        result = run(*command, code=3)
        assert "1 of them could not be fetched; the same command tries again" in result.stdout
        assert "could not be fetched (the store is busy)" in rows_of(out)[1]["error"]
        broken |= {"/in/002.png", "/in/003.png"}
        shutil.rmtree(out)
        refused = run(*command, code=1)
        assert "None of the 2 images of shard 1 could be fetched" in refused.output
    assert "(1 of them already there)" not in run(*command).stdout, "shard 0 had one unfetched"
    assert [row["score"] for row in rows_of(out)] == pytest.approx(
        [one["score"] for one in told_by_predict(model, *files)], abs=1e-3
    )


def test_progress_counts_images_of_before(model, inspection_folder, tmp_path):
    from ahl._common.callbacks import Callback

    heard = []

    class Listener(Callback):
        def on_stage(self, stage, done, total):
            heard.append((stage, done, total))

    def score():
        inputs = [str(inspection_folder / "good")]
        score_collection(model, inputs, str(tmp_path), shard_size=10, callback=Listener())

    score()
    assert heard == [("scoring", done, 24) for done in (0, 10, 20, 24)]
    heard.clear()
    (tmp_path / "part-00000.parquet").unlink()
    score()
    assert heard == [("scoring", done, 24) for done in (14, 24)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--engine", "ray"), "--engine needs --output DIR"),
        (("--shard-size", 5), "--shard-size needs --output DIR"),
        (("--output", "o", "--why"), "cannot be combined with --output"),
        (("--output", "o", "--workers", 2), "--workers needs --engine ray"),
        (("--output", "o", "--ray-address", "auto"), "--ray-address needs --engine ray"),
    ],
)
def test_options_that_do_nothing_are_refused(options, said, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in run("predict", model, "x.png", *options, code=2).output
    assert not list(tmp_path.iterdir())
