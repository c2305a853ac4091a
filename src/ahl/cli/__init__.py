"""The `ahl` command. Each verb is a thin layer over the library; torch loads when it works."""

from __future__ import annotations

import ctypes
import os
import sys

import click

from ahl import __version__
from ahl.cli.adapt import adapt
from ahl.cli.advise import advise
from ahl.cli.benchmark import benchmark
from ahl.cli.datasets import datasets
from ahl.cli.demo import demo
from ahl.cli.evaluate import evaluate
from ahl.cli.export import export
from ahl.cli.info import info
from ahl.cli.predict import predict
from ahl.cli.report import report
from ahl.cli.serve import serve
from ahl.cli.threshold import threshold
from ahl.cli.train import train
from ahl.cli.update import update
from ahl.cli.watch import watch

_EPILOG = """\b
A first round, on a folder with good/ and a folder for each kind of defect:
  ahl train parts/ --output parts.ahl
  ahl predict parts.ahl new/*.png

Exit status: 0 done, 1 failed, 2 wrong usage, 3 (predict, watch) done but some images were skipped.
"""

# Parameters of glibc's mallopt (malloc.h), and their values in bytes.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MAPPED_FROM, _KEPT = 8 * 2**20, 64 * 2**20


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ahl")
def main() -> None:
    """Find defects in images, also of kinds never seen before.

    Train on good images and the one to ten defects you happen to have; every image then gets
    an anomaly score, higher = more anomalous.
    """
    share_cores()
    return_memory()


def share_cores() -> None:
    """Let threads that wait for others sleep soon, before torch starts them.

    GNU's OpenMP lets them spin for milliseconds: on cores that another program uses as well, a
    training then takes ten times as long and more. Alone on the machine, sleeping costs up to a
    fifth. Who has set GOMP_SPINCOUNT or OMP_WAIT_POLICY is left alone.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")


def return_memory() -> None:
    """Have the C library give memory back that tensors no longer need.

    GNU's keeps freed blocks of up to 32 MiB in a heap that falls to pieces: a training that never
    used more than 0.4 GiB of it came to hold 1.8 GiB. Blocks from 8 MiB on are mapped each by
    itself instead, and unmapped when freed. Who has set MALLOC_MMAP_THRESHOLD_ or GLIBC_TUNABLES is
    left alone, and so is any other C library.
    """
    if sys.platform != "linux" or {"MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"} & os.environ.keys():
        return
    change = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is not None:
        change(_M_MMAP_THRESHOLD, _MAPPED_FROM)
        # Of smaller blocks much may stay: trimming costs time, and is on by the change above.
        change(_M_TRIM_THRESHOLD, _KEPT)


for _verb in (
    train,
    predict,
    evaluate,
    report,
    threshold,
    update,
    watch,
    advise,
    export,
    serve,
    info,
    adapt,
    demo,
    datasets,
    benchmark,
):
    main.add_command(_verb)
