"""Processes that torchrun started: what they say where they cannot work together."""

import pytest
import torch

from ahl._common.distributed import process_count, process_group, process_rank
from ahl._common.errors import ConfigurationError, ProcessError
from two_processes import run_two

TALK = """
import os
import torch
from torch import distributed
from ahl._common.distributed import process_group, process_rank
from ahl._common.errors import ProcessError
try:
    with process_group(torch.device("cpu")):
        distributed.barrier()
        if process_rank() == 1:
            os._exit(7)
        distributed.all_reduce(torch.ones(1))
except ProcessError as error:
    print(error)
"""


def test_without_torchrun_there_is_one(monkeypatch):
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    assert (process_rank(), process_count()) == (0, 1)
    monkeypatch.setenv("WORLD_SIZE", "4")  # of another program: torchrun sets both
    assert (process_rank(), process_count()) == (0, 1)
    with process_group(torch.device("cpu")):
        assert not torch.distributed.is_initialized()


def test_a_process_without_a_device_is_told_so(monkeypatch):
    for name, value in (("WORLD_SIZE", "3"), ("RANK", "2"), ("LOCAL_RANK", "2")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with (
        pytest.raises(ConfigurationError, match="2 CUDA devices here for 3"),
        process_group(torch.device("cuda")),
    ):
        pass


def test_a_process_hears_that_the_other_has_ended():
    first, second = run_two(("-c", TALK), ("-c", TALK))
    assert second.returncode == 7
    assert "Another process of this run has ended" in first.stdout, first.stderr


def test_processes_that_do_not_reach_each_other_say_so(monkeypatch):
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0"), ("MASTER_PORT", "x")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with (
        pytest.raises(ProcessError, match="cannot reach each other"),
        process_group(torch.device("cpu")),
    ):
        pass
