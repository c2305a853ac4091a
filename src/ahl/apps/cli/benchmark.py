"""`ahl benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ahl._common.errors import ConfigurationError
from ahl._common.text import counted
from ahl.apps.cli.common import FAILED, print_json, stderr_console, suggest, tell
from ahl.apps.cli.groups import Caching, Computing, Features, group_by_names, json_flag
from ahl.apps.cli.labelled import Labels
from ahl.apps.cli.options import FOLDER, POSITIVE, option, options, takes

if TYPE_CHECKING:
    from ahl._common.callbacks import Callback
    from ahl.benchmark.protocol import BenchmarkDataset
    from ahl.benchmark.trials import Benchmark

_RUN_EPILOG = """\b
Methods: ahl-dra ahl-devnet dra devnet flos saoe mlep patchcore kdad fs-dra
logistic.
+alone is `ahl train` with its defaults, +alone+devnet with --heads devnet.
A method may bring settings of its own:
  --method ahl-dra,distributions.clusters=4,importance.history=3
Ablations: clusters default episodes evidence history importance inner overlap
pseudo rivals table5.

\b
Example:
  ahl benchmark run --dataset elpv --dataset headct=RAW/headct \\
      --setting general --setting hard --anomalies 1 --anomalies 10 -o results
  ahl benchmark report results
"""


@click.group()
def benchmark() -> None:
    """Compare methods by the protocol of the open-set papers."""


@options
class RunOptions:
    """The options of `ahl benchmark run`."""

    datasets: tuple[str, ...] = option(
        "A dataset of `ahl datasets list` and its raw folder (none for one that comes in a "
        "Python package), or a name of your own and a folder laid out as for `ahl train`. May be "
        "repeated, like --method, --ablation, --setting and --anomalies.",
        "--dataset",
        metavar="NAME[=PATH]",
    )
    methods: tuple[str, ...] = option(
        "A method; see below [default: all; with --transfer those that adapt, with --finetune "
        "those of a base detector].",
        "--method",
        default=(),
    )
    ablations: tuple[str, ...] = option("A group of methods; see below.", "--ablation", default=())
    settings: tuple[Literal["general", "hard"], ...] = option(
        "Draw the training anomalies from all classes (general) or from one (hard).",
        "--setting",
        default=("general",),
    )
    anomalies: tuple[int, ...] = option(
        "Number of training anomalies.", default=(10,), type=POSITIVE, metavar="M"
    )
    seeds: int = option(
        "Number of draws, each with a seed of its own.", default=3, type=POSITIVE, metavar="N"
    )
    first_seed: int = option(
        "Seed of the first draw. The documented tables start at 0; constants are chosen on draws "
        "from 100 on.",
        default=0,
        type=click.IntRange(min=0),
        metavar="N",
    )
    as_published: bool = option(
        "Do not look for photographs of one part. Without this option, each dataset that has "
        "some is measured a second time, with these on one side of the split; every image is "
        "decoded for that.",
        default=False,
    )
    group_by: str | None = group_by_names()
    output: Path = option("Results folder.", "-o", type=FOLDER)
    resume: bool = option("Continue in a folder that holds results.", default=False)
    transfer: bool = option(
        "Train on each dataset, adapt to each other one with its normals alone, test there.",
        default=False,
    )
    finetune: bool = option(
        "First train the backbone end to end under the base detector's loss, once for each draw "
        "and base detector, as the papers do. Its checkpoints are kept beside the results for "
        "--resume: about 50 MB each with the default backbone.",
        default=False,
    )
    jobs: int = option("Parallel processes, which share the threads.", default=1, type=POSITIVE)
    preset: Literal["default", "paper"] = option(
        "Hyperparameters, before the methods' own settings are applied.", default="default"
    )
    features: Features
    caching: Caching
    computing: Computing
    as_json: bool = json_flag()

    def benchmark(self, callback: Callback) -> Benchmark:
        """The benchmark with its datasets and methods, to be run.

        Args:
            callback: gets notes on pixel values and on photographs of one part.

        Raises:
            AHLError: if an option has a value that cannot work, or a dataset cannot be read.
        """
        from ahl._common.devices import resolve_device
        from ahl.benchmark.protocol import with_kept_together
        from ahl.benchmark.trials import Benchmark, checked_variants
        from ahl.data.images.variety import notes_on_numbers
        from ahl.features.backbones.choice import BackboneChoice

        as_published = self.as_published or self.transfer
        if self.group_by is not None and as_published:
            other = "--transfer" if self.transfer else "--as-published"
            raise ConfigurationError(
                f"--group-by finds photographs of one part, which {other} does not use; leave one "
                "of the two out."
            )
        methods = _methods(
            self.methods, self.ablations, transfer=self.transfer, finetune=self.finetune
        )
        config = self.features.config(self.preset)
        # Before images are decoded, so that a mistyped name is refused at once.
        checked_variants(methods, config, transfer=self.transfer, finetune=self.finetune)
        datasets = [_dataset(text) for text in self.datasets]
        for dataset in datasets:
            normals = [one.source for subset in dataset.subsets for one in subset.train_normals]
            for note in notes_on_numbers(normals, self.features.bit_depth):
                callback.on_note(f"{dataset.name}: {note}")
        if not as_published:
            datasets = with_kept_together(
                datasets, callback, group_by=self.group_by, bit_depth=self.features.bit_depth
            )
        chosen = self.features.choice()
        return Benchmark(
            datasets=datasets,
            methods=methods,
            settings=self.settings,
            anomalies=self.anomalies,
            seeds=range(self.first_seed, self.first_seed + self.seeds),
            backbone=BackboneChoice(arguments=chosen.pop("backbone_arguments"), **chosen),
            config=config,
            device=resolve_device(self.computing.device),
            cache=self.caching.place,
            transfer=self.transfer,
            finetune=self.finetune,
        )


@benchmark.command(epilog=_RUN_EPILOG)
@takes(RunOptions)
def run(options: RunOptions) -> None:
    """Measure methods on datasets into a results folder.

    --resume continues an interrupted run; a finished trial is computed again only if something that
    its figures depend on has changed.
    """
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.benchmark.runner import run_benchmark

    options.computing.begin()
    with ConsoleCallback(stderr_console(quiet=options.as_json)) as callback:
        outcome = run_benchmark(
            options.benchmark(callback),
            options.output,
            resume=options.resume,
            jobs=options.jobs,
            callback=callback,
        )
    if options.as_json:
        print_json(
            {"computed": outcome.computed, "kept": outcome.kept, "failed": list(outcome.failed)}
        )
    else:
        tell(
            f"{counted(outcome.computed, 'trial')} computed, {outcome.kept} already there, "
            f"{len(outcome.failed)} failed."
        )
        for label, reason in outcome.failed:
            tell(f"failed: {label}: {reason}")
        suggest("benchmark report", options.output)
    if outcome.failed:
        raise SystemExit(FAILED)


@options
class ReportOptions:
    """The options of `ahl benchmark report`."""

    output: Path | None = option(
        "Folder to write to [default: DIR].", "-o", default=None, type=FOLDER
    )
    as_json: bool = json_flag()


@benchmark.command()
@click.argument("results", metavar="DIR", type=FOLDER)
@takes(ReportOptions)
def report(results: Path, options: ReportOptions) -> None:
    """Write tables and plots of the results in DIR.

    Writes report.md, results.csv, table.tex (booktabs) and report.html, one page that needs no
    network. The paper's figures stand beside ours, and sentences say where AHL does not win.
    """
    from ahl.benchmark.report import write_benchmark_report

    written = write_benchmark_report(results, options.output)
    if options.as_json:
        print_json(written.to_json())
        return
    for sentence in written.verdicts:
        tell(f"- {sentence}")
    for path in written.paths:
        click.echo(str(path))


def _dataset(text: str) -> BenchmarkDataset:
    from ahl.benchmark.datasets import READERS
    from ahl.benchmark.protocol import BenchmarkDataset

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
            f"Unknown --dataset {text!r}; expected one of {', '.join(by_name)}, or NAME=PATH for a "
            "folder of your own."
        )
    return BenchmarkDataset(name=name.strip(), subsets=(Labels().dataset(Path(path)),))


def _methods(
    methods: tuple[str, ...],
    ablations: tuple[str, ...],
    *,
    transfer: bool = False,
    finetune: bool = False,
) -> list[str]:
    from ahl.benchmark.methods import METHODS
    from ahl.benchmark.variants import ABLATIONS

    for name in ablations:
        if name not in ABLATIONS:
            raise ConfigurationError(
                f"Unknown ablation {name!r}; expected one of {', '.join(ABLATIONS)}."
            )
    named = [*methods, *(variant for name in ablations for variant in ABLATIONS[name])]
    possible = [
        method.name
        for method in METHODS
        if (method.transfers or not transfer) and (method.heads is not None or not finetune)
    ]
    return list(dict.fromkeys(named)) or possible
