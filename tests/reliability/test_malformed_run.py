"""A few of the ten thousand of benchmarks/reliability/malformed.py; and that it would notice."""

import os
import random
import signal
import time

import pytest

from ahl._common.errors import ImageError
from reliability_runs import benchmark, module


def test_malformed_files_and_requests_are_refused(model):
    told = benchmark(
        *("malformed.py", "--model", model, "--images", 150, "--models", 20, "--requests", 30),
        *("--slow", 3, "--seed", 1),
    )
    assert told["faults"] == []
    assert told["total"] >= 150 + 20 + 30 + 3
    assert set(told["request"]["dribbling"]) == {"408", "closed"}


def take(path):
    """Fail in the way that the file's content says."""
    match path.read_text():
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(60)
        case "traceback":
            raise KeyError
        case "long":
            raise ImageError("x" * 3000)
        case "refused":
            raise ImageError("it is none")
    return "read"


@pytest.mark.parametrize("fault", ["crash", "hang", "traceback", "long"])
def test_faults_are_noticed_and_the_rest_is_still_read(fault, tmp_path, monkeypatch):
    parsing = module("parsing")
    monkeypatch.setattr(parsing.tempfile, "tempdir", str(tmp_path))
    files = [("a.png", content.encode()) for content in ("refused", fault, "fine")]
    told, faults = parsing.parse_all(files, take, longest=5)
    assert (told["png: refused"], told["png: read"]) == (1 + (fault == "long"), 1)
    assert len(faults) == 1
    assert faults[0].startswith("refused" if fault == "long" else fault)


def test_the_same_seed_draws_the_same_mutants():
    mutants = module("mutants")
    first, second = (list(mutants.image_mutants(100, random.Random(5))) for _ in range(2))
    assert first == second
    assert len({data for _, data in first}) > 90
    assert not {data for _, data in first} & {*mutants.image_files().values()}
