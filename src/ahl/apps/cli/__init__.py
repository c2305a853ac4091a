"""The `ahl` command: verbs as thin layers over the library; torch loads only when one works."""

from __future__ import annotations

import io
import sys

import click

from ahl._common.process_settings import settle_process
from ahl._common.version import __version__
from ahl.apps.cli.adapt import adapt
from ahl.apps.cli.advise import advise
from ahl.apps.cli.benchmark import benchmark
from ahl.apps.cli.datasets import datasets
from ahl.apps.cli.demo import demo
from ahl.apps.cli.evaluate import evaluate
from ahl.apps.cli.export import export
from ahl.apps.cli.info import info
from ahl.apps.cli.predict import predict
from ahl.apps.cli.report import report
from ahl.apps.cli.serve import serve
from ahl.apps.cli.threshold import threshold
from ahl.apps.cli.train import train
from ahl.apps.cli.update import update
from ahl.apps.cli.watch import watch

_EPILOG = """\b
A first round, on a folder with good/ and a folder for each kind of defect:
  ahl train parts/ --output parts.ahl
  ahl predict parts.ahl new/*.png

Exit status: 0 done, 1 failed, 2 wrong usage, 3 (predict, watch) done but some images were skipped.
"""


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ahl")
def main() -> None:
    """Find defects in images, also of kinds never seen before.

    Train on good images and the one to ten defects you happen to have; every image then gets
    an anomaly score, higher = more anomalous.
    """
    settle_process()
    for stream in (sys.stdout, sys.stderr):
        # Names of files need not be letters that the terminal knows, nor letters at all.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


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
