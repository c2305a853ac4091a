"""The command gives back memory that it no longer needs."""

import platform
import subprocess
import sys

import pytest

# What a long run does: large blocks come and go between small ones that stay.
PROGRAM = """
import os, sys
import numpy as np
from click.testing import CliRunner
from ahl.apps.cli import main

def held():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) // 1024

assert CliRunner().invoke(main, ["info", "--help"]).exit_code == 0
for size in range(1, 32):  # freed blocks of this size teach glibc to keep them
    np.ones(size * 2**17)
before = held()
kept = []
for _ in range(3):
    blocks = []
    for _ in range(8):
        blocks.append(np.ones(12 * 2**17))
        kept.append(np.ones(2**12))
    del blocks
print(held() - before)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries have their own way"
)
@pytest.mark.parametrize("users_own", [False, True])
def test_freed_blocks_do_not_stay(users_own, monkeypatch):
    for name in ("MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    if users_own:  # left alone: then they do stay, which is what the command changes
        monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", str(32 * 2**20))
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert (int(found.stdout) > 48) == users_own  # MiB; all at once were 96
