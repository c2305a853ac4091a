"""`ahl benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ahl._common.errors import ConfigurationError
from ahl.apps.cli.common import (
    FAILED,
    errors_as_messages,
    own_name,
    print_json,
    stderr_console,
    use_threads,
)
from ahl.apps.cli.groups import (
    backbone_options,
    cache_option,
    device_option,
    json_option,
    parse_arguments,
    parse_stages,
    threads_option,
)

if TYPE_CHECKING:
    from ahl.benchmark.protocol import BenchmarkDataset

_RUN_EPILOG = """\b
Methods: ahl-dra ahl-devnet dra devnet flos saoe mlep patchcore kdad fs-dra logistic.
A method may bring settings of its own:
  --method ahl-dra,distributions.clusters=4,importance.history=3
Ablations: clusters default episodes evidence history importance inner overlap pseudo table5.

\b
Example:
  ahl benchmark run --dataset elpv --dataset headct=RAW/headct \\
      --setting general --setting hard --anomalies 1 --anomalies 10 --output results
  ahl benchmark report results
"""


@click.group()
def benchmark() -> None:
    """Compare methods by the open-set protocol: one table beside the paper's figures."""


@benchmark.command(epilog=_RUN_EPILOG)
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    required=True,
    metavar="NAME[=PATH]",
    help="A dataset of `ahl datasets list` and its raw folder (none for one that comes in a "
    "Python package), or a name of your own and a folder laid out as for `ahl train`. May be "
    "repeated, as all of the following.",
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    help="A method; see below [default: all, with --transfer those that adapt].",
)
@click.option("--ablation", "ablations", multiple=True, help="A group of methods; see below.")
@click.option(
    "--setting",
    "settings",
    multiple=True,
    type=click.Choice(["general", "hard"]),
    default=("general",),
    show_default=True,
)
@click.option(
    "--anomalies",
    multiple=True,
    type=click.IntRange(min=1),
    default=(10,),
    show_default=True,
    metavar="M",
    help="Labelled anomalies that train.",
)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, metavar="N")
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Results folder.",
)
@click.option("--resume", is_flag=True, help="Go on in a folder that has results.")
@click.option(
    "--transfer",
    is_flag=True,
    help="Train on each dataset, adapt to each other one with its normals alone, test there.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes; each takes its share of the threads.",
)
@click.option(
    "--preset",
    type=click.Choice(["default", "paper"]),
    default="default",
    show_default=True,
    help="Constants before the methods' own settings.",
)
@backbone_options
@cache_option
@device_option
@threads_option
@json_option
@errors_as_messages
def run(as_json: bool, output: Path, **options: Any) -> None:  # noqa: ANN401 - handed on
    """Measure methods on datasets, trial by trial, into a results folder.

    A killed run goes on with --resume; a finished trial is computed again only if something that
    its figures depend on has changed.
    """
    from ahl._common.devices import resolve_device
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.benchmark.runner import run_benchmark
    from ahl.benchmark.trials import Benchmark
    from ahl.config import preset
    from ahl.features.backbones.choice import BackboneChoice

    use_threads(options["threads"])
    with ConsoleCallback(stderr_console(quiet=as_json)) as callback:
        outcome = run_benchmark(
            Benchmark(
                datasets=[_dataset(text) for text in options["datasets"]],
                methods=_methods(
                    options["methods"], options["ablations"], transfer=options["transfer"]
                ),
                settings=options["settings"],
                anomalies=options["anomalies"],
                seeds=range(options["seeds"]),
                backbone=BackboneChoice(
                    backbone=options["backbone"],
                    weights=options["weights"],
                    arguments=parse_arguments(options["backbone_args"]),
                    stages=parse_stages(options["stages"]),
                ),
                config=preset(
                    options["preset"], image_size=options["image_size"], tiles=options["tiles"]
                ),
                device=resolve_device(options["device"]),
                cache=options["cache"] or "auto",
                transfer=options["transfer"],
            ),
            output,
            resume=options["resume"],
            jobs=options["jobs"],
            callback=callback,
        )
    if as_json:
        print_json(
            {"computed": outcome.computed, "kept": outcome.kept, "failed": list(outcome.failed)}
        )
    else:
        click.echo(
            f"{outcome.computed} trials computed, {outcome.kept} there already, "
            f"{len(outcome.failed)} failed."
        )
        for label, reason in outcome.failed:
            click.echo(f"failed: {label}: {reason}")
        click.echo(f"Next: {own_name()} benchmark report {output}")
    if outcome.failed:
        raise SystemExit(FAILED)


@benchmark.command()
@click.argument("results", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to [default: DIR].",
)
@json_option
@errors_as_messages
def report(results: Path, output: Path | None, as_json: bool) -> None:
    """Write tables and plots of the results in DIR. Needs pip install 'ahl[benchmark]'.

    Writes report.md, results.csv, table.tex (booktabs) and report.html, one page that needs no
    network. The paper's figures stand beside ours, and it says where AHL does not win.
    """
    from ahl.benchmark.report import write_benchmark_report

    written = write_benchmark_report(results, output)
    if as_json:
        print_json(written.to_json())
        return
    for sentence in written.verdicts:
        click.echo(f"- {sentence}")
    for path in written.paths:
        click.echo(str(path))


def _dataset(text: str) -> BenchmarkDataset:
    from ahl.benchmark.datasets import READERS
    from ahl.benchmark.protocol import BenchmarkDataset
    from ahl.data import open_dataset

    name, separator, path = text.partition("=")
    by_name = {reader.name: reader for reader in READERS}
    reader = by_name.get(name.strip().lower())
    if reader is not None:
        return BenchmarkDataset(
            name=reader.title,
            subsets=reader.read(Path(path) if separator else None),
            hard_classes=reader.hard_classes,
            hard_subsets=reader.hard_subsets,
        )
    if not separator:
        raise ConfigurationError(
            f"--dataset {text!r} is none of {', '.join(by_name)}; for a folder of your own give "
            "NAME=PATH."
        )
    return BenchmarkDataset(name=name.strip(), subsets=(open_dataset(Path(path)),))


def _methods(methods: tuple[str, ...], ablations: tuple[str, ...], *, transfer: bool) -> list[str]:
    from ahl.benchmark.methods import METHODS
    from ahl.benchmark.variants import ABLATIONS

    for name in ablations:
        if name not in ABLATIONS:
            raise ConfigurationError(
                f"There is no ablation {name!r}; choose among {', '.join(ABLATIONS)}."
            )
    named = [*methods, *(variant for name in ablations for variant in ABLATIONS[name])]
    possible = [method.name for method in METHODS if method.transfers or not transfer]
    return list(dict.fromkeys(named)) or possible
