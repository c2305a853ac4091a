"""Processes that train together: alone, and two real ones that agree, disagree and end."""

import itertools

import pytest

from ahl._common.processes import Processes, joined_processes
from two_processes import run_two

TALK = """
import sys
from pathlib import Path
import torch
from ahl._common.errors import ConfigurationError
from ahl._common.processes import joined_processes

with joined_processes("cpu") as us:
    assert (us.count, us.is_first) == (2, us.rank == 0)
    assert us.gathered({"rank": us.rank}) == [{"rank": 0}, {"rank": 1}]
    assert us.told(["of", us.rank]) == ["of", 0]
    done = us.counter()
    done(3 + us.rank)
    us.wait()
    assert done(0) == 7
    tensor = torch.full((2,), float(us.rank + 1))
    us.sum(tensor)
    assert tensor.tolist() == [3.0, 3.0]
    tensor += us.rank
    us.same([tensor])
    assert tensor.tolist() == [3.0, 3.0]
    us.agree("the same", "things")
    us.require_shared(Path(sys.argv[1]))
    try:
        us.agree(us.rank, "things")
    except ConfigurationError as error:
        assert "Process 1 has other things" in str(error)
    else:
        raise AssertionError
    print("agreed", flush=True)
    if us.rank == 1:
        raise RuntimeError("a mistake")
"""


def test_without_torchrun_there_is_one_which_waits_for_nobody(monkeypatch, tmp_path):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined_processes("cpu") as alone:
        assert (alone.rank, alone.count, alone.is_first) == (0, 1, True)
        assert alone.share([3, 1, 2], block=2) == [3, 1, 2]
        assert alone.parts(5) == [slice(0, 5)]
        assert (alone.told(4), alone.gathered(4)) == (4, [4])
        count = alone.counter()
        assert (count(2), count(3)) == (2, 5)
        alone.agree("whatever", "things")
        alone.require_shared(tmp_path / "nowhere")
        alone.wait()


@pytest.mark.parametrize(("count", "things", "block"), [(2, 9, 2), (3, 4, 4), (4, 100, 7)])
def test_shares_and_parts_hold_everything_once(count, things, block):
    all_ = [Processes(rank=rank, count=count, _store=object()) for rank in range(count)]
    shares = [one.share(range(things), block=block) for one in all_]
    assert sorted(itertools.chain(*shares)) == list(range(things))
    # Whole blocks, as one process would make them: a batch has the same images in it.
    for share in shares:
        for start in range(0, len(share), block):
            own = share[start : start + block]
            assert own == list(range(own[0], own[0] + len(own)))
            assert own[0] % block == 0
    parts = all_[0].parts(things)
    assert [thing for part in parts for thing in range(things)[part]] == list(range(things))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_two_processes_agree_and_one_that_fails_ends_the_other_which_is_silent(tmp_path):
    first, second = run_two(("-c", TALK, tmp_path), ("-c", TALK, tmp_path))
    assert (first.stdout, second.stdout) == ("agreed\n", "agreed\n"), second.stderr
    assert list(tmp_path.iterdir()) == []
    assert first.stderr == ""
    assert (first.returncode, second.returncode) == (1, 1)
    assert "RuntimeError: a mistake" in second.stderr
