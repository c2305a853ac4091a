"""`python -m ahl.pretrain`: make the weights of the embedded backbone."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import click

from ahl.cli.common import errors_as_messages, stderr_console, threads_option, use_threads


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Where the weights go: safetensors, float16.",
)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the drawn pictures (45 MB a shard), the state and log.jsonl.",
)
@click.option("--shards", type=click.IntRange(min=1), default=100, help="Of 900 drawn pictures.")
@click.option("--steps", type=click.IntRange(min=0), default=3000, help="0: untrained weights.")
@click.option("--groups", type=click.IntRange(2, 100), default=16, help="Of nine pictures, a step.")
@click.option("--rate", type=float, default=2e-3, help="Highest learning rate.")
@click.option("--naming", type=float, default=0.5, help="Weight: name defects, cell by cell.")
@click.option("--ranking", type=float, default=1.0, help="Weight: defects far from normals.")
@click.option("--telling", type=float, default=1.0, help="Weight: tell defects by few examples.")
@click.option("--grouping", type=float, default=0.5, help="Weight: tell materials apart.")
@click.option("--describing", type=float, default=1.0, help="Weight: predict plain filters.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0)
@click.option("--resume", is_flag=True, help="Go on where a killed run stopped.")
@threads_option
@errors_as_messages
def main(
    output: Path,
    work: Path,
    shards: int,
    steps: int,
    groups: int,
    rate: float,
    naming: float,
    ranking: float,
    telling: float,
    grouping: float,
    describing: float,
    seed: int,
    resume: bool,
    threads: int | None,
) -> None:
    """Train the embedded backbone from nothing, on pictures drawn by code.

    First the pictures are drawn, once, by all cores; those in the work folder are kept. Then the
    network learns from them. The same options, seed and machine give the same weights.
    """
    from ahl.cli.progress import ConsoleObserver
    from ahl.pretrain.config import PretrainConfig
    from ahl.pretrain.loop import Pretraining
    from ahl.pretrain.shards import DrawnGroups, ShardFolder, draw_shards
    from ahl.pretrain.weights import write_weights

    config = PretrainConfig(
        shards=shards,
        steps=steps,
        groups=groups,
        rate=rate,
        naming=naming,
        ranking=ranking,
        telling=telling,
        grouping=grouping,
        describing=describing,
    )
    use_threads(threads)
    folder = ShardFolder(root=work / "drawn", size=config.size, seed=seed)
    with ConsoleObserver(stderr_console()) as observer:
        draw_shards(
            folder,
            shards,
            processes=threads or os.cpu_count() or 1,
            progress=lambda done, total: observer.on_stage("drawing, shards", done, total),
        )
        run = Pretraining(config, DrawnGroups(folder, shards), seed)
        started = time.monotonic()
        with (work / "log.jsonl").open("a" if resume else "w") as log:

            def report(step: int, terms: Mapping[str, float]) -> None:
                observer.on_stage("training, steps", step, steps)
                line = {"step": step, "seconds": round(time.monotonic() - started, 1), **terms}
                log.write(json.dumps(line) + "\n")
                log.flush()

            run.run(report, work / "state.safetensors", resume=resume)
    write_weights(run.backbone, output)
    click.echo(f"{output}: SHA-256 {hashlib.sha256(output.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main(prog_name="python -m ahl.pretrain")
