"""The AHL stage (cached features to unified model), against a plain loop over its base models.

    python benchmarks/ahl_stage.py                    the ratio, at the size of HeadCT
    python benchmarks/ahl_stage.py --scaling plot.png seconds per epoch by normals and by T
    python benchmarks/ahl_stage.py --sizes            the whole stage at 448 px against 224 px

Features are random numbers; their values do not affect the time. The plain loop is what one would
write first: a torch module and a torch optimiser for each base model, one model after another,
batches drawn from the same table. It leaves out fitting psi, which the library's time includes.
"""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import replace
from pathlib import Path

import as_command  # noqa: F401 - before torch
import numpy as np
import torch
from torch import Tensor, nn

from ahl._common.randomness import torch_generator
from ahl.config import Config, default
from ahl.distributions.pseudo import plan_pseudo_anomalies
from ahl.distributions.training_set import Batch, draw_batch
from ahl.features.maps import FeatureLayout
from ahl.features.table import FeatureTable
from ahl.heads import DRA
from ahl.heads.base import top_mean
from ahl.learning.algorithm import algorithm_1
from ahl.pipeline.learn import learn
from ahl.pipeline.task import Task, draw_episodes, prepare

CPU = torch.device("cpu")
HEADCT = 75
"""Training normals of HeadCT."""


def table(count: int, layout: FeatureLayout, seed: int) -> FeatureTable:
    rows = np.random.default_rng(seed).standard_normal((count, layout.row_size), dtype=np.float32)
    return FeatureTable.of_rows(layout, rows.astype(np.float16))


def layout_of(channels: int, image_size: int = 224) -> FeatureLayout:
    """Shapes of a stride-32 backbone's maps at full and at half size."""
    side = image_size // 32
    return FeatureLayout(tuple((channels, n, n) for n in (side, (side + 1) // 2)))


def draw_task(normals: int, layout: FeatureLayout, config: Config) -> Task:
    good = table(normals, layout, 0)
    episodes = draw_episodes(good, 10, 3, config.distributions, seed=0)
    pseudo = table(len(plan_pseudo_anomalies(episodes)), layout, 2)
    return prepare(DRA, good, table(10, layout, 1), pseudo, episodes, config, seed=0)


def run(task: Task, config: Config) -> None:
    """Train through all epochs of Algorithm 1."""
    for _ in algorithm_1(
        task.detector,
        task.data,
        task.distributions,
        task.reference,
        config,
        seed=0,
        device=CPU,
    ):
        pass


class PlainDRA(nn.Module):
    """DRA's heads as torch modules, for maps (N, C, H, W).

    Args:
        channels: channels C of the maps.
        bottleneck: width of the residual head's bottleneck; 0 for none.
        width: channels of the residual head's convolution.
        config: the constants.
    """

    def __init__(self, channels: int, bottleneck: int, width: int, config: Config) -> None:
        super().__init__()
        self.top = config.heads.top_fraction
        self.holistic = nn.Sequential(
            nn.Linear(channels, config.heads.holistic_hidden),
            nn.ReLU(),
            nn.Linear(config.heads.holistic_hidden, 1),
        )
        self.seen, self.pseudo = nn.Conv2d(channels, 1, 1), nn.Conv2d(channels, 1, 1)
        self.reduce = nn.Conv2d(channels, bottleneck, 1, bias=False) if bottleneck else None
        self.conv = nn.Conv2d(bottleneck or channels, width, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))
        self.residual = nn.Conv2d(width, 1, 1)

    def forward(
        self, maps: tuple[Tensor, ...], references: tuple[Tensor, ...]
    ) -> dict[str, Tensor]:
        scores: dict[str, list[Tensor]] = {n: [] for n in DRA.head_names}
        for scale, (own, reference) in enumerate(zip(maps, references, strict=True)):
            scores["holistic"].append(self.holistic(own.mean(dim=(-2, -1))).squeeze(-1))
            difference = reference - own
            if self.reduce is not None:
                difference = self.reduce(difference)
            activated = torch.relu(self.norms[scale](self.conv(difference)))
            for name, each in (
                ("seen", self.seen(own)),
                ("pseudo", self.pseudo(own)),
                ("residual", self.residual(activated)),
            ):
                scores[name].append(top_mean(each.abs().flatten(1), self.top))
        return {name: torch.stack(parts).mean(dim=0) for name, parts in scores.items()}


def plain_loop(task: Task, config: Config, epochs: int, *, published: bool) -> None:
    """Algorithm 1 without psi, one base model after another.

    Args:
        task: the training data.
        config: the constants.
        epochs: number of epochs.
        published: the residual head without a bottleneck, 64 channels wide.
    """
    learning, data, sets = config.learning, task.data, task.distributions
    models = len(sets)
    bottleneck, width = config.heads.residual_bottleneck, config.heads.residual_channels
    if published:
        bottleneck, width = 0, 64
    unified = PlainDRA(task.detector.layout.channels, bottleneck, width, config)
    optimiser = torch.optim.Adam(unified.parameters(), lr=learning.outer_rate)
    weights = sets.query_shares
    data.features.keep_resident()
    generator = torch_generator(0, "plain")

    def draw(of: tuple[object, ...], i: int) -> Batch:
        return draw_batch(
            data,
            [of[i]],  # type: ignore[list-item]
            batch_size=learning.batch_size,
            reference_normals=config.heads.reference_normals,
            generator=generator,
            device=CPU,
        ).of(0)

    for _ in range(epochs):
        for turn in range(learning.rounds):
            optimiser.zero_grad()
            total = [torch.zeros_like(p) for p in unified.parameters()]
            for i in range(models):
                base = copy.deepcopy(unified).train()
                inner = torch.optim.Adam(base.parameters(), lr=learning.inner_rate)
                for _ in range(learning.inner_steps):
                    batch = draw(sets.supports, i)
                    loss = task.detector.loss(base(batch.maps, batch.references), batch.kinds)
                    inner.zero_grad()
                    loss.backward()
                    inner.step()
                batch = draw(sets.queries, i)
                loss = task.detector.loss(base(batch.maps, batch.references), batch.kinds)
                theirs = torch.autograd.grad(loss, list(base.parameters()))
                total = [a + weights[i] * b for a, b in zip(total, theirs, strict=True)]
                if turn == 0:  # every sample, scored by every base model
                    base.eval()
                    with torch.inference_mode():
                        for chunk in torch.arange(len(data)).split(256):
                            base(data.features.maps(chunk), task.reference)
            for parameter, gradient in zip(unified.parameters(), total, strict=True):
                parameter.grad = gradient
            optimiser.step()


def seconds(work: object, *arguments: object, **options: object) -> float:
    started = time.perf_counter()
    work(*arguments, **options)  # type: ignore[operator]
    return time.perf_counter() - started


def compare(config: Config, epochs: int, turns: int) -> None:
    """Print the library's time beside those of the plain loops, measured alternately."""
    config = replace(config, learning=replace(config.learning, epochs=epochs))
    task = draw_task(HEADCT, layout_of(448), config)
    times: dict[str, list[float]] = {"library": [], "plain loop": [], "published heads": []}
    for _ in range(turns):
        times["library"].append(seconds(run, task, config))
        times["plain loop"].append(seconds(plain_loop, task, config, epochs, published=False))
        times["published heads"].append(seconds(plain_loop, task, config, epochs, published=True))
    least = {name: min(values) for name, values in times.items()}
    print(f"{HEADCT} normals, 10 anomalies, 448 channels, T = 7, {epochs} epochs, best of {turns}")
    print(f"library                          {least['library']:7.2f} s")
    for name, label in (
        ("plain loop", "plain loop, the same heads"),
        ("published heads", "plain loop, heads as published"),
    ):
        ratio = least[name] / least["library"]
        print(f"{label:<32} {least[name]:7.2f} s   {ratio:.1f} times as long")


def sizes(config: Config, normals: int, turns: int, channels: int = 472) -> None:
    """Print the time of the stage, preparation and calibration included, at two image sizes.

    EfficientNet-Lite0 has 472 channels. The sizes alternate; the first turn is not counted.
    """
    layouts = {size: layout_of(channels, size) for size in (224, 448)}
    spent: dict[int, list[tuple[float, float]]] = {size: [] for size in layouts}
    for turn in range(turns + 1):
        for size, layout in layouts.items():
            cpu, wall = time.process_time(), time.perf_counter()
            learn(draw_task(normals, layout, config), config, seed=0, device=CPU)
            if turn:
                taken = time.process_time() - cpu, time.perf_counter() - wall
                spent[size].append(taken)
                print(f"turn {turn}: {size} px {taken[0]:7.2f} s of CPU, {taken[1]:7.2f} s")
    print(f"{normals} normals, {torch.get_num_threads()} threads, best of {turns}")
    for i, clock in enumerate(("CPU", "wall")):
        small, large = (min(taken[i] for taken in spent[size]) for size in layouts)
        ratio = f"{large / small:.2f} times as long"
        print(f"{clock:<4} 224 px {small:7.2f} s   448 px {large:7.2f} s   {ratio}")


def scaling(config: Config, plot: Path, channels: int = 64, epochs: int = 2) -> None:
    """Print and plot seconds per epoch for 100 to 10,000 normals and T = 3, 7, 15."""
    counts, models = (100, 1000, 10_000), (3, 7, 15)
    found: dict[int, list[float]] = {}
    for episodes in models:
        for normals in counts:
            own = replace(
                config,
                learning=replace(config.learning, epochs=epochs),
                # Three clusters make seven episodes at most.
                distributions=replace(
                    config.distributions, max_episodes=episodes, clusters=3 if episodes <= 7 else 5
                ),
                memory=replace(config.memory, patches=0),
                calibration=replace(config.calibration, folds=0),
            )
            task = draw_task(normals, layout_of(channels), own)
            assert len(task.distributions) == episodes
            spent = seconds(run, task, own)
            found.setdefault(episodes, []).append(spent / epochs)
            print(
                f"T = {episodes:2d}  {normals:6d} normals  {spent / epochs:7.3f} s an epoch",
                flush=True,
            )
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.5), layout="constrained")
    for episodes, values in found.items():
        axes.loglog(counts, values, marker="o", label=f"T = {episodes}")
    axes.set(xlabel="training normals", ylabel="seconds an epoch", title=f"{channels} channels")
    axes.legend()
    figure.savefig(plot, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3, help="of the comparison")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--scaling", type=Path, metavar="PNG", help="measure by size instead")
    parser.add_argument("--sizes", action="store_true", help="compare 224 px with 448 px instead")
    parser.add_argument("--normals", type=int, default=HEADCT, help="of --sizes")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.scaling is not None:
        scaling(default(), options.scaling)
    elif options.sizes:
        sizes(default(), options.normals, options.turns)
    else:
        compare(default(), options.epochs, options.turns)


if __name__ == "__main__":
    main()
