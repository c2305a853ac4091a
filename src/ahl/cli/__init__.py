"""The `ahl` command. Each verb is a thin layer over the library; torch loads when it works."""

from __future__ import annotations

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
from ahl.process_settings import settle_process

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
