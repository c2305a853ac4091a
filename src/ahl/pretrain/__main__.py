"""`python -m ahl.pretrain`: make the weights of the embedded backbone."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from ahl.cli.common import errors_as_messages, stderr_console, threads_option, use_threads
from ahl.pretrain.config import PretrainConfig
from ahl.process_settings import usable_cores

DEFAULT = PretrainConfig()


def _weight(name: str, text: str) -> Callable[..., Any]:
    option = f"--{name.replace('_', '-')}"
    return click.option(
        option, type=float, default=getattr(DEFAULT, name), help=f"Weight of a term: {text}."
    )


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
    help="Folder for the drawn pictures (51 MB a shard), the state and log.jsonl.",
)
@click.option(
    "--shards",
    type=click.IntRange(1, 400),
    default=DEFAULT.shards,
    help="Of 100 groups of nine pictures to draw.",
)
@click.option(
    "--steps", type=click.IntRange(min=0), default=DEFAULT.steps, help="Of refinement; 0: none."
)
@click.option(
    "--groups", type=click.IntRange(2, 100), default=DEFAULT.groups, help="Groups in a step."
)
@click.option("--rate", type=float, default=DEFAULT.rate, help="Highest learning rate.")
@_weight("ranking", "defects lie farther from normal cells than sound cells do")
@_weight("few_shot", "a ridge regression on two defects tells further ones")
@_weight("prototypes", "name the material")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0)
@click.option("--resume", is_flag=True, help="Go on where a killed run stopped.")
@threads_option
@errors_as_messages
def main(
    output: Path, work: Path, seed: int, resume: bool, threads: int | None, **constants: float
) -> None:
    """Make the embedded backbone from nothing but pictures drawn by code.

    First the pictures are drawn, once, by all cores; those in the work folder are kept. Then
    filters are learned from them by k-means, and refined by gradient descent on few-shot tasks
    that are drawn too. The same options, seed and machine give the same weights.
    """
    from ahl.cli.progress import ConsoleObserver
    from ahl.pretrain.loop import Pretraining, read_state
    from ahl.pretrain.shards import DrawnGroups, ShardFolder, draw_shards
    from ahl.pretrain.weights import write_weights

    config = PretrainConfig(**constants)  # type: ignore[arg-type] # click has checked them
    use_threads(threads)
    output.parent.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    checkpoint = work / "state.safetensors"
    with ConsoleObserver(stderr_console()) as observer:
        # Before anything is drawn, so that options of another run are told at once.
        state = read_state(checkpoint, config, seed) if resume else None
        if resume and state is None:
            observer.on_note(f"There is no {checkpoint} to go on from: starting anew.")
        folder = ShardFolder(root=work / "drawn", size=config.size, seed=seed)
        draw_shards(
            folder,
            config.shards,
            processes=threads or usable_cores(),
            progress=lambda done, total: observer.on_stage("drawing, shards", done, total),
        )
        run = Pretraining(config, DrawnGroups(folder, config.shards), seed, state)
        log = _Log(work / "log.jsonl", run.done)

        def report(step: int, terms: Mapping[str, float]) -> None:
            observer.on_stage("training, steps", step, config.steps)
            log.write(step, terms)

        run.run(report, checkpoint)
    write_weights(run.backbone, output)
    click.echo(f"{output}: SHA-256 {hashlib.sha256(output.read_bytes()).hexdigest()}")


class _Log:
    """A JSON line for every step; what a resumed run computes again is dropped first."""

    def __init__(self, path: Path, done: int) -> None:
        lines = path.read_text().splitlines() if done and path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] <= done]
        path.write_text("".join(f"{line}\n" for line in kept))
        before = json.loads(kept[-1])["seconds"] if kept else 0.0
        self._path, self._started = path, time.monotonic() - before

    def write(self, step: int, terms: Mapping[str, float]) -> None:
        seconds = round(time.monotonic() - self._started, 1)
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, "seconds": seconds, **terms}) + "\n")


if __name__ == "__main__":
    main(prog_name="python -m ahl.pretrain")
