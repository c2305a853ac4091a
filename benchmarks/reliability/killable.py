"""The verbs that are killed: how they start and resume, and the files they must leave."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common import ahl, draw_parts

from ahl._common.tensor_file import read_tensor_file
from ahl.scoring.artefact import read_artefact
from ahl.scoring.opening import open_scorer

TRAIN = ("--image-size", "48", "--threads", "1")
OURS = ("parts", "fresh", "in", "m.ahl", "log.txt", "cache")
"""Names in a trial's folder that the verb does not make."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A verb to be killed, with its arguments and checks.

    Attributes:
        name: its name in the table of figures.
        first: arguments of the first run.
        again: arguments of a run after a kill.
        codes: exit statuses of a run that ends by itself.
        check: raises if a file in the folder is not whole.
        result: returns the files it leaves, by name, as bytes.
        slow: True to run it only if it is named.
    """

    name: str
    first: tuple[str, ...]
    again: tuple[str, ...]
    codes: tuple[int, ...] = (0,)
    check: Callable[[Path], None]
    result: Callable[[Path], dict[str, bytes]]
    slow: bool = False


def prepare(base: Path, names: list[str]) -> Path:
    """Make the folder that every trial starts from: images, and a model with a threshold."""
    draw_parts(base / "parts", good=16, defects=4, side=64)
    if {*names} - {"train", "train --finetune", "benchmark run"}:
        ahl("train", base / "parts", "-o", base / "m.ahl", *TRAIN, "--epochs", 2, "--no-cache")
        draw_parts(base / "fresh", good=40, defects=6, side=64, first=500)
        ahl("threshold", base / "m.ahl", base / "fresh" / "good", "--max-false-alarm-rate", 0.05)
    if "watch" in names:
        inbox = draw_parts(base / "in", good=16, defects=8, side=64, first=700)
        for number, path in enumerate(sorted(inbox.glob("*/*.png"))):
            path.rename(inbox / f"{number:03d}.png")
    return base


def leftovers(folder: Path) -> list[Path]:
    """Temporary files of writers that were killed."""
    return [*folder.rglob(".*.part")]


def made(folder: Path) -> dict[str, bytes]:
    """Content of all files that the verb made, except temporary ones."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.relative_to(folder).parts[0] not in OURS
        and not (path.name.startswith(".") and path.name.endswith(".part"))
    }


def _whole_models(folder: Path) -> None:
    for path in folder.glob("*"):
        if path.suffix in (".ahl", ".onnx"):
            open_scorer(path, device="cpu", threads=1)
        elif path.name.endswith((".checkpoint", ".finetune")):
            read_tensor_file(path, "checkpoint")
        elif path.name not in OURS and not path.name.endswith(".part"):
            raise ValueError(f"{path.name} should not be there")


def _whole_graphs(folder: Path) -> None:
    for path in folder.glob("out.*"):
        read_artefact(path)


def _whole_page(folder: Path) -> None:
    for path in folder.glob("*.html"):
        if not path.read_text().rstrip().endswith("</html>"):
            raise ValueError(f"{path.name} is not whole")


def _whole_results(folder: Path) -> None:
    import numpy as np

    from ahl.benchmark.results import Results

    if not (folder / "results").is_dir():
        return
    for path in (folder / "results").rglob("*"):
        if path.suffix in (".npz", ".npy") and not path.name.startswith("."):
            with np.load(path, allow_pickle=False) as scores:
                [scores[name] for name in scores.files]
    results = Results(folder / "results", writable=False)
    for record in results.trials.values():
        results.scored(record.key)


def _figures(folder: Path) -> dict[str, bytes]:
    """Figures and scores of each trial, without times, which differ from run to run."""
    from ahl.benchmark.results import Results

    results = Results(folder / "results", writable=False)
    found = {}
    for key, record in results.trials.items():
        scored = results.scored(record.key)
        found[str(key)] = (
            f"{record.auroc!r} {record.average_precision!r}".encode() + scored.scores.tobytes()
        )
    return found


def _whole_shards(folder: Path) -> None:
    import pyarrow.parquet

    for path in (folder / "scores").glob("*.parquet"):
        pyarrow.parquet.read_table(path)


def _moved(folder: Path) -> dict[str, bytes]:
    """Content of the sorted files, and the score in each one's line; raises on two lines."""
    lines = [json.loads(line) for line in (folder / "watch.jsonl").read_text().splitlines()]
    paths = [line["path"] for line in lines]
    if len(paths) != len({*paths}):
        raise ValueError("a file has two lines")
    found = {name: data for name, data in made(folder).items() if name.endswith(".png")}
    told = {Path(line["path"]).name: line["score"] for line in lines}
    return {**found, "scores": json.dumps(told, sort_keys=True).encode()}


def _none_lost(folder: Path) -> None:
    base = folder.parent.parent / "base" / "in"
    seen = [
        path.read_bytes()
        for place in ("in", "ok", "reject", "uncertain")
        for path in (folder / place).glob("*.png")
    ]
    if sorted(seen) != sorted(path.read_bytes() for path in base.glob("*.png")):
        raise ValueError("a file is lost, there twice, or not whole")


_TRAIN = ("train", "parts", "-o", "out.ahl", *TRAIN, "--epochs", "3", "--cache", "cache")
_UPDATE = (
    "update",
    "m.ahl",
    "--missed",
    "fresh/square",
    "-o",
    "out.ahl",
    "--threads",
    "1",
    "--force",
)
_WATCH = ("watch", "m.ahl", "in", "--ok", "ok", "--reject", "reject", "--uncertain", "uncertain")
_WATCH += ("--once", "--settle", "0", "--log", "watch.jsonl", "--threads", "1")
_BENCHMARK = ("benchmark", "run", "--dataset", "parts=parts", "--method", "ahl-devnet")
_BENCHMARK += ("--method", "logistic", "--anomalies", "2", "--seeds", "2")
_BENCHMARK += ("--output", "results", *TRAIN, "--cache", "cache")
_PREDICT = (
    "predict",
    "m.ahl",
    "fresh",
    "--output",
    "scores",
    "--shard-size",
    "4",
    "--threads",
    "1",
)


_EXPORT = ("export", "m.ahl", "-o", "out.onnx", "--threads", "1")

_THRESHOLD = ("threshold", "m.ahl", "fresh/good", "-o", "out.ahl", "--threads", "1")
_THRESHOLD += ("--max-false-alarm-rate", "0.1")
_ADAPT = ("adapt", "m.ahl", "fresh/good", "-o", "out.ahl", "--epochs", "2", "--threads", "1")
_ADAPT += ("--cache", "cache")
_REPORT = ("report", "m.ahl", "fresh", "-o", "out.html", "--threads", "1", "--cache", "cache")

JOBS = (
    Job(name="train", first=_TRAIN, again=(*_TRAIN, "--resume"), check=_whole_models, result=made),
    Job(
        name="train --finetune",
        first=(*_TRAIN, "--finetune"),
        again=(*_TRAIN, "--finetune", "--resume"),
        check=_whole_models,
        result=made,
        slow=True,
    ),
    Job(name="export", first=_EXPORT, again=_EXPORT, check=_whole_graphs, result=made),
    Job(name="update", first=_UPDATE, again=_UPDATE, check=_whole_models, result=made),
    Job(name="threshold", first=_THRESHOLD, again=_THRESHOLD, check=_whole_models, result=made),
    Job(name="adapt", first=_ADAPT, again=_ADAPT, check=_whole_models, result=made),
    Job(name="report", first=_REPORT, again=_REPORT, check=_whole_page, result=made),
    Job(name="watch", first=_WATCH, again=_WATCH, check=_none_lost, result=_moved),
    Job(
        name="benchmark run",
        first=_BENCHMARK,
        again=(*_BENCHMARK, "--resume"),
        check=_whole_results,
        result=_figures,
    ),
    Job(name="predict --output", first=_PREDICT, again=_PREDICT, check=_whole_shards, result=made),
)
