"""Scoring of a collection into a folder of shards, by any engine; a stopped run is resumed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from ahl._common.callbacks import Callback
from ahl._common.errors import ConfigurationError, DataError, ResumeError
from ahl._common.schema import json_hash, read_json
from ahl._common.text import counted
from ahl._common.version import __version__
from ahl.apps.bulk.inputs import cut, find_inputs, inputs_digest, state_of
from ahl.apps.bulk.places import OutputFolder, located
from ahl.apps.bulk.shards import Job, ShardFacts, ShardScorer, ShardTask, file_sha256
from ahl.scoring.artefact import is_exported

SHARD_SIZE: Final = 1024
"""Images in a shard: a kill loses under a minute of one core's work."""

MANIFEST: Final = "_ahl_run.json"
"""File with the run's identity, written first. Parquet readers skip names that begin with `_`."""

DONE: Final = "_SUCCESS"
"""File with the counts of the run, written when every shard is there."""

_FORMAT: Final = 1
_STAGE: Final = "scoring"
_AT_ONCE: Final = 16  # footers read


Engine = Callable[[Job, Sequence[ShardTask]], Iterator[ShardFacts]]
"""Scores and writes shards, in any order; yields each shard's facts once its file is written."""


def score_here(
    job: Job, tasks: Sequence[ShardTask], *, threads: int | None = None
) -> Iterator[ShardFacts]:
    """Score shards one after another in this process; `threads` None takes all cores."""
    yield from map(ShardScorer(job, threads).score, tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Counts of a run.

    Attributes:
        images: in all shards.
        unreadable: those with an error instead of scores.
        unfetched: those of them that could not be fetched; running again tries them again.
        anomalous: those above the model's threshold; 0 without one.
        shards: files in the folder.
        found: shards that were there before.
    """

    images: int
    unreadable: int
    unfetched: int
    anomalous: int
    shards: int
    found: int


def score_collection(
    model: Path,
    inputs: Sequence[str],
    output: str,
    *,
    engine: Engine = score_here,
    column: str = "path",
    shard_size: int = SHARD_SIZE,
    device: str = "auto",
    callback: Callback | None = None,
) -> Collected:
    """Score images into Parquet files `part-00000.parquet`, ... of a folder.

    A file depends on the inputs, the model, the shard size, the device and the versions of what
    computes alone, not on the engine, the number of workers or what was killed in between (the last
    digits of a score may differ between kinds of processors, or numbers of threads). Called again,
    it scores the shards that are missing or damaged, whose files have changed, or that hold images
    that could not be fetched.

    Args:
        model: the model file.
        inputs: files, folders or patterns, of images or Parquet files, by path or URL.
        output: path or URL of the folder.
        engine: scores the shards; in this process by default.
        column: of Parquet files: holds paths, URLs or encoded images.
        shard_size: images a shard.
        device: as in `ahl.scoring.opening.open_scorer`.
        callback: its `on_stage` counts images.

    Raises:
        ConfigurationError: if a package is missing.
        DataError: if there is nothing to score, the folder cannot be used or another run writes
            into it, or files changed while they were scored.
        ResumeError: if the folder holds something else.
    """
    try:
        import fsspec  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "Results are written with pyarrow and fsspec. Install them with: "
            "pip install 'ahl[bulk]' (or 'ahl-runtime[bulk]')."
        ) from None
    callback = callback or Callback()
    folder = OutputFolder(output)
    parts, base = find_inputs(inputs, column, callback, output=output), str(Path.cwd())
    total, shards = sum(map(len, parts)), cut(parts, shard_size)
    model_digest = file_sha256(model)
    facts = {
        "format": _FORMAT,
        "model": model_digest,
        "inputs": inputs_digest(parts),
        "images": total,
        "shard_size": shard_size,
        "device": device,
    }
    run = _fingerprint(facts, exported=is_exported(model))
    digits = max(5, len(str(len(shards) - 1)))
    tasks = [
        ShardTask(
            number=number,
            name=f"part-{number:0{digits}d}.parquet",
            part=part,
            state=state_of(part, base),
        )
        for number, part in enumerate(shards)
    ]
    _refuse_foreign(folder, folder.names())
    with folder.held():
        return _completed(folder, model, {**facts, "run": run}, tasks, engine, base, callback)


def _completed(
    folder: OutputFolder,
    model: Path,
    facts: dict[str, Any],
    tasks: Sequence[ShardTask],
    engine: Engine,
    base: str,
    callback: Callback,
) -> Collected:
    """Score the missing shards, as in `score_collection`, while the folder is locked."""
    names, run, total = folder.names(), facts["run"], facts["images"]
    manifest = {**facts, "shards": len(tasks)}
    _claim(folder, names, manifest)
    done = _found(folder, names, tasks, run)
    found, reached = len(done), sum(one.images for one in done.values())
    callback.on_stage(_STAGE, reached, total)
    noted = _noted(done.values(), callback)
    missing = [task for task in tasks if task.number not in done]
    if missing:
        job = Job(
            model=model,
            sha256=facts["model"],
            output=located(folder.place, base),
            base=base,
            run=run,
            device=facts["device"],
        )
        for one in engine(job, missing):
            done[one.shard] = one
            noted = noted or _noted([one], callback)
            reached += one.images
            callback.on_stage(_STAGE, reached, total)
        _check_all_there(folder, tasks)
        _check_unchanged(missing, base)
        _claim(folder, folder.names(), manifest)  # in a store, nothing kept another run away
    counts = {
        name: sum(getattr(one, name) for one in done.values())
        for name in ("images", "unreadable", "unfetched", "anomalous")
    }
    folder.write(DONE, _json({"run": run, **counts, "shards": len(tasks)}))
    return Collected(**counts, shards=len(tasks), found=found)


def _fingerprint(facts: dict[str, Any], *, exported: bool) -> str:
    """Identity of a run: what it scores, and the versions of what computes it."""
    versions = {"ahl": __version__}
    with contextlib.suppress(metadata.PackageNotFoundError):  # opening the model will say so
        package = "torch"
        if exported:
            package = "openvino" if facts["device"] == "openvino" else "onnxruntime"
        versions[package] = metadata.version(package)
    return json_hash({**versions, **facts})


def _refuse_foreign(folder: OutputFolder, names: set[str]) -> None:
    if MANIFEST not in names and any(name.endswith(".parquet") for name in names):
        raise ResumeError(
            f"{folder.place} holds Parquet files that `ahl` did not write; name another folder."
        )


def _claim(folder: OutputFolder, names: set[str], manifest: dict[str, Any]) -> None:
    """Write the manifest, or check that the folder's is of the same run.

    Raises:
        ResumeError: if it is of another one.
    """
    if MANIFEST not in names:
        folder.write(MANIFEST, _json(manifest))
        return
    try:
        found = read_json(folder.read(MANIFEST), dict[str, Any])
    except ValueError:
        found = None
    if found is None or found.get("run") != manifest["run"]:
        raise ResumeError(
            f"{folder.place} holds the scores of another run: {_difference(found, manifest)}. "
            "Name another folder, or delete that one."
        )


def _difference(found: dict[str, Any] | None, manifest: dict[str, Any]) -> str:
    if found is None:
        return f"its {MANIFEST} cannot be read"
    words = {
        "model": "it used another model",
        "inputs": f"its inputs were different ({found.get('images')} images)",
        "shard_size": f"its --shard-size was {found.get('shard_size')}",
        "device": f"its --device was {found.get('device')}",
    }
    differing = [said for key, said in words.items() if found.get(key) != manifest[key]]
    return (
        ", ".join(differing)
        or "it was made by another version of ahl, or of a library that computes the scores"
    )


def _found(
    folder: OutputFolder, names: set[str], tasks: Sequence[ShardTask], run: str
) -> dict[int, ShardFacts]:
    """Facts of the finished shards: whole, of files as they are now, and all images fetched."""
    there = [task for task in tasks if task.name in names]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        facts = pool.map(lambda task: ShardFacts.read(folder, task.name), there)
        return {
            task.number: one
            for task, one in zip(there, facts, strict=True)
            if one is not None
            and (one.run, one.shard, one.images) == (run, task.number, len(task.part))
            and one.state == task.state
            and not one.unfetched
        }


def _noted(shards: Iterable[ShardFacts], callback: Callback) -> bool:
    """Pass on the notes of the first shard that has any; False if none has."""
    notes = next((one.notes for one in shards if one.notes), ())
    for note in notes:
        callback.on_note(note)
    return bool(notes)


def _check_all_there(folder: OutputFolder, tasks: Sequence[ShardTask]) -> None:
    missing = {task.name for task in tasks} - folder.names()
    if missing:
        raise ConfigurationError(
            f"{len(missing)} shards are not in {folder.place}: workers on other machines wrote to "
            "their own discs. Name a folder that all machines share, or a bucket."
        )


def _check_unchanged(tasks: Sequence[ShardTask], base: str) -> None:
    """Raise DataError if files changed while they were scored."""
    changed = [task.name for task in tasks if state_of(task.part, base) != task.state]
    if changed:
        raise DataError(
            f"Files of {counted(len(changed), 'shard')}, first of {changed[0]}, changed while "
            "they were scored: some scores may be those of the old content. Run the same command "
            "again to score these shards again."
        )


def _json(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, indent=1, sort_keys=True) + "\n").encode()
