"""AHL against its base detectors on the same features, and the time of the AHL stage.

Writes a dated table. Every figure is a mean over seeds with one configuration for all datasets.
"""

from __future__ import annotations

import argparse
import csv
import platform
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from unittest import mock

import torch
from elpv import elpv_as_folders

import ahl
from ahl import AHL, fitting
from ahl.config import Config, preset
from ahl.datasets import Dataset, draw_split, open_dataset
from ahl.evaluation import Evaluation, evaluate

METHODS = [("dra", True), ("dra", False), ("devnet", True), ("devnet", False)]


@dataclass(frozen=True)
class Run:
    result: Evaluation
    seconds: float


def headct_as_folders(raw: Path, root: Path) -> Path:
    """The raw HeadCT layout as good/ and defect/."""
    with (raw / "labels.csv").open(encoding="utf-8") as file:
        for row in csv.reader(file):
            if row[0].strip().isdigit():
                folder = root / ("defect" if row[1].strip() == "1" else "good")
                folder.mkdir(parents=True, exist_ok=True)
                name = f"{int(row[0]):03d}.png"
                shutil.copy(raw / "head_ct" / "head_ct" / name, folder / name)
    return root


def one_run(
    dataset: Dataset, base: str, config: Config, seed: int, options: argparse.Namespace
) -> Run:
    seconds = 0.0

    def timed(*args, **kwargs):
        nonlocal seconds
        start = time.perf_counter()
        state = original(*args, **kwargs)
        seconds = time.perf_counter() - start
        return state

    original = fitting.train
    with mock.patch.object(fitting, "train", timed):
        detector = AHL(
            base,
            options.backbone,
            seed=seed,
            config=config,
            weights=options.weights,
            backbone_arguments=dict(a.split("=", 1) for a in options.backbone_arg),
            cache=options.cache,
        )
        split = draw_split(dataset, anomalies=options.anomalies, seed=seed)
        detector.fit_split(split)
    return Run(evaluate(detector.scorer, dataset), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headct", type=Path, help="raw HeadCT folder")
    parser.add_argument("--sdd", type=Path, help="KolektorSDD in MVTec layout")
    parser.add_argument("--elpv", action="store_true", help="ELPV from its package")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--backbone-arg", action="append", default=[])
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--anomalies", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--alone-rate",
        type=float,
        nargs="*",
        default=[],
        help="further learning rates for the base detectors alone",
    )
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "ahl-benchmark")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    if not (options.headct or options.sdd or options.elpv):
        parser.error("name at least one dataset: --headct DIR, --sdd DIR or --elpv")
    config = preset("default", image_size=options.image_size)
    lines = [
        f"# AHL and its base detectors, M = {options.anomalies}, general setting",
        "",
        f"{date.today()}, ahl {ahl.__version__}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads, {platform.machine()}. Command:",
        "",
        f"    python benchmarks/part1.py {' '.join(map(shown, sys.argv[1:]))}",
        "",
        "AUROC: mean (standard deviation) over the seeds. Seconds: the training stage with "
        "features cached, mean.",
        "",
        "| dataset | method | AUROC | seen | unseen | AP | FPR95 | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        datasets = {}
        if options.headct:
            datasets["HeadCT"] = headct_as_folders(options.headct, Path(folder) / "headct")
        if options.sdd:
            datasets["SDD"] = options.sdd
        if options.elpv:
            datasets["ELPV"] = elpv_as_folders(Path(folder) / "elpv")
        for name, root in datasets.items():
            dataset = open_dataset(root)
            for base, collaborative in METHODS:
                rates = [None] if collaborative else [None, *options.alone_rate]
                for rate in rates:
                    learning = replace(config.learning, collaborative=collaborative)
                    if rate is not None:
                        learning = replace(learning, inner_rate=rate)
                    runs = [
                        one_run(dataset, base, replace(config, learning=learning), seed, options)
                        for seed in options.seeds
                    ]
                    label = f"AHL({base})" if collaborative else f"{base} alone"
                    if rate is not None:
                        label += f", rate {rate:g}"
                    lines.append(f"| {name} | {label} | {row(runs)} |")
                    print(lines[-1], flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    target = options.output / f"part1-m{options.anomalies}-{date.today()}.md"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"written: {target}")


def shown(argument: str) -> str:
    """The argument without the folders of this machine."""
    path = Path(argument)
    return f"$DATA/{path.name}" if path.is_absolute() or ".." in path.parts else argument


def row(runs: list[Run]) -> str:
    cells = []
    for key in ("auroc", "auroc_seen", "auroc_unseen", "average_precision", "fpr95"):
        values = [v for v in (getattr(run.result, key) for run in runs) if v is not None]
        if not values:
            cells.append("-")
            continue
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        cells.append(f"{statistics.mean(values):.3f} ({deviation:.3f})")
    cells.append(f"{statistics.mean(run.seconds for run in runs):.1f}")
    return " | ".join(cells)


if __name__ == "__main__":
    main()
