"""Few kills of what benchmarks/reliability/kills.py does for many; and that it would notice."""

import pytest

from reliability_runs import benchmark, module


def test_killed_verbs_leave_nothing_half_written_and_go_on():
    told = benchmark("kills.py", "--trials", 1, "--kills", 2, "--only", "train")
    assert told["faults"] == []
    assert told["train"]["killed"] + told["train"]["ended_before"] == 2
    assert told["train"]["files_compared"] >= 1


def test_halves_and_strangers_are_noticed(tmp_path, model):
    killable = module("killable")
    whole = next(job for job in killable.JOBS if job.name == "train")
    whole.check(tmp_path)
    (tmp_path / "out.ahl").write_bytes(model.read_bytes())
    (tmp_path / ".out.ahl.1-00000000.part").write_bytes(b"half")
    whole.check(tmp_path)
    assert [*whole.result(tmp_path)] == ["out.ahl"]
    assert len(killable.leftovers(tmp_path)) == 1
    (tmp_path / "out.ahl").write_bytes(model.read_bytes()[:-9])
    with pytest.raises(Exception, match=r"out\.ahl"):
        whole.check(tmp_path)
    (tmp_path / "out.ahl").unlink()
    (tmp_path / "stranger.tmp").touch()
    with pytest.raises(ValueError, match=r"stranger\.tmp"):
        whole.check(tmp_path)


def test_other_bytes_are_noticed():
    kills = module("kills")
    assert kills.differences({"a": b"1", "b": b"2"}, {"a": b"1", "b": b"3", "c": b""}) == ["b", "c"]
