"""`ahl predict`: scores printed, or with --output written into a folder."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from ahl._common.errors import ConfigurationError, DataError
from ahl._common.text import counted, printable
from ahl.apps.cli.common import SKIPPED, USAGE, images_of, print_json, stderr_console
from ahl.apps.cli.groups import ScorerComputing, existing_model, json_flag
from ahl.apps.cli.options import FOLDER, POSITIVE, option, options, takes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ahl.apps.bulk.run import Collected, Engine
    from ahl.scoring.prediction import Prediction


@options
class BulkOptions:
    """The options of scoring into a folder; None for those that were not given.

    Raises:
        ConfigurationError: if one does nothing with, or without, the others.
    """

    output: str | None = option(
        "Write scores as Parquet files into this folder (or URL, such as s3://bucket/scores) "
        "instead of printing them; the same command goes on where it was interrupted. PATHs may "
        "then be URLs, and Parquet files. Needs the extra ahl[bulk].",
        default=None,
        metavar="DIR",
    )
    engine: Literal["local", "ray"] | None = option(
        "With --output: where to score, in this process or on Ray (extra ahl[ray]) "
        "[default: local].",
        default=None,
    )
    column: str | None = option(
        "Column of Parquet files with paths, URLs or encoded images [default: path].", default=None
    )
    shard_size: int | None = option(
        "Images a Parquet file of the output [default: 1024].", default=None, type=POSITIVE
    )
    workers: int | None = option(
        "Ray: actors, of --threads (default 1) each [default: as many as there is room for].",
        default=None,
        type=POSITIVE,
    )
    ray_address: str | None = option(
        "Ray: a running cluster, or 'auto' [default: start Ray on this machine alone].",
        default=None,
        metavar="ADDRESS",
    )

    def __post_init__(self) -> None:
        if self.output is None:
            for name in ("engine", "column", "shard_size", "workers", "ray_address"):
                self._refuse(name, "--output DIR")
            return
        if self.engine != "ray":
            for name in ("workers", "ray_address"):
                self._refuse(name, "--engine ray")

    def _refuse(self, name: str, needed: str) -> None:
        if getattr(self, name) is not None:
            raise ConfigurationError(f"--{name.replace('_', '-')} goes with {needed}.")


def score_to_folder(
    model: Path,
    inputs: tuple[str, ...],
    options: BulkOptions,
    computing: ScorerComputing,
    *,
    as_json: bool,
) -> None:
    """Score a collection into the folder `options.output`, and say what came of it.

    Raises:
        SystemExit: with status 3, if images could not be read.
        AHLError: see `ahl.apps.bulk.run.score_collection`.
    """
    from ahl.apps.bulk.run import SHARD_SIZE, score_collection
    from ahl.apps.cli.progress import ConsoleCallback

    output = options.output or "."
    engine = _engine(options, computing.threads)
    with ConsoleCallback(stderr_console(quiet=as_json)) as callback:
        collected = score_collection(
            model,
            inputs,
            output,
            engine=engine,
            column=options.column or "path",
            shard_size=options.shard_size or SHARD_SIZE,
            device=computing.device,
            callback=callback,
        )
    if as_json:
        print_json({"output": output, **asdict(collected)})
    else:
        click.echo(_in_words(collected, output))
    if collected.unreadable:
        raise SystemExit(SKIPPED)


def _engine(options: BulkOptions, threads: int | None) -> Engine:
    if options.engine == "ray":
        from ahl.apps.bulk.ray_engine import RayEngine

        return RayEngine(workers=options.workers, threads=threads or 1, address=options.ray_address)
    from ahl.apps.bulk.run import score_here

    return partial(score_here, threads=threads)


def _in_words(collected: Collected, output: str) -> str:
    shards = counted(collected.shards, "Parquet file")
    words = f"{counted(collected.images, 'image')} scored in {shards}: {output}"
    if collected.found:
        words += f" ({collected.found} of them were there)"
    if collected.unreadable:
        images = counted(collected.unreadable, "image")
        words += f"\n{images} could not be read; the column `error` says why."
    if collected.unfetched:
        words += (
            f"\n{collected.unfetched} of them could not be fetched; the same command tries again."
        )
    return words


_LONGEST_NAME: Final = 200
"""Bytes of a heat map's name before its suffix; file systems take 255."""


@options
class PredictOptions:
    """The options of `ahl predict`."""

    heat_maps: Path | None = option(
        "Folder for pictures of where in each image the evidence lies.", default=None, type=FOLDER
    )
    npy: bool = option(
        "With --heat-maps: each map as numbers, too, float32 of the image's own size.",
        default=False,
    )
    why: bool = option(
        "Add below each image what makes it anomalous, and which training images are like it.",
        default=False,
    )
    bulk: BulkOptions
    computing: ScorerComputing
    as_json: bool = json_flag()

    def __post_init__(self) -> None:
        if self.npy and self.heat_maps is None:
            raise ConfigurationError("--npy goes with --heat-maps DIR.")


@click.command()
@existing_model
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@takes(PredictOptions)
def predict(model: Path, paths: tuple[str, ...], options: PredictOptions) -> None:
    """Score images with a trained MODEL.

    Each PATH is a file, a folder (searched through) or a glob such as 'parts/**/*.png'. The
    score is higher for more anomalous images and has no fixed range: compare scores of one
    model with each other. The probability, 0 to 1, says how likely an image is defective by its
    score, were good and defective ones equally common. Where `ahl threshold` has set a threshold,
    each image is called normal or anomalous, with a question mark where too few good images are
    known to be sure of it.

    --why and --heat-maps show what speaks against an image, and where: what looks like a defect
    that was shown, like a synthetic defect, or unlike all good parts. Red begins above what the
    highest places of usual good images have, and means the same in all pictures of one model; where
    nothing reaches that, the highest places are blue. A line goes around the strongest places, and
    `places` in --json has their boxes. With both, each picture has beside it the defect that was
    shown and the good image that are most like this one.

    With --json, one object a line: path, score, probability, heads (each head's own score, higher =
    more anomalous) and evidence (what each head, and the memory of normals, adds to the score), or
    path and error; with a threshold also anomalous (the score lies above it) and verdict (uncertain
    where a question mark stands otherwise). A bad file never stops the rest.

    With --output, the same values become Parquet files: for collections too large for one machine,
    or for one evening (docs/bulk.md).

    \b
    Exit status: 0 all read, 2 wrong usage, 3 some skipped.
    """
    folder, why, as_json = options.heat_maps, options.why, options.as_json
    if options.bulk.output is not None:
        if why or folder is not None:
            raise ConfigurationError("--why and --heat-maps do not go with --output.")
        score_to_folder(model, paths, options.bulk, options.computing, as_json=as_json)
        return
    from ahl.scoring.opening import open_scorer
    from ahl.scoring.sheet import draw_sheet

    try:
        images = images_of(paths)
    except DataError as error:
        click.echo(f"ahl: {error}", err=True)
        raise SystemExit(USAGE) from None
    scorer = open_scorer(model, device=options.computing.device, threads=options.computing.threads)
    decided, rated = scorer.card.decision is not None, scorer.card.probability is not None
    files = _heat_map_files(folder, images) if folder else []
    skipped = 0
    if not as_json:
        columns = f"{'probability  ' if rated else ''}{'verdict     ' if decided else ''}"
        click.echo(f"{'score':>10}  {columns}path")
    for prediction in scorer.predict(images, heat_maps=folder is not None, nearest=why):
        source = images[prediction.index]
        skipped += prediction.score is None
        given = prediction.to_json(why=scorer.card if why else None)
        values = {"path": str(source), **given}
        if prediction.heat_map is not None:
            file = files[prediction.index]
            draw_sheet(source, str(source), prediction, file)
            values["heat_map"] = str(file)
            if options.npy:
                values["heat_map_npy"] = str(_write_numbers(prediction.heat_map, source, file))
        if as_json:
            print_json(values)
        else:
            click.echo(_line(prediction, printable(str(source)), values.get("why")))
    if skipped:
        if not as_json:
            click.echo(f"{skipped} of {counted(len(images), 'image')} could not be read.", err=True)
        raise SystemExit(SKIPPED)


def _line(prediction: Prediction, path: str, why: Sequence[Any] | None) -> str:
    """The prediction for people."""
    from ahl.scoring.prediction import called

    if prediction.score is None:
        return f"{'skipped':>10}  {path}: {prediction.error}"
    verdict = ""
    if prediction.verdict is not None:
        verdict = f"{called(prediction.anomalous, prediction.verdict):<12}"
    probability = "" if prediction.probability is None else f"{prediction.probability:>8.2f}  "
    line = f"{prediction.score:>10.4f}  {probability}{verdict}{path}"
    if why is not None:
        words = ", ".join(f"{meaning} ({value:+.1f})" for meaning, value in why)
        line += f"\n{'':>10}  {words or 'nothing speaks against it'}"
        like = [
            f"{what} {printable(found.name)}"
            for what, found in (
                ("its most anomalous place is most like", prediction.nearest_anomaly),
                ("the good image most like it is", prediction.nearest_normal),
            )
            if found is not None and found.name
        ]
        line += f"\n{'':>10}  {'; '.join(like)}" if like else ""
    return line


def _heat_map_files(folder: Path, images: Sequence[Path]) -> list[Path]:
    """A file for each image, named after its path, and none twice."""
    files: dict[Path, None] = {}
    for image in images:
        parts = [part for part in image.parts if part not in (image.anchor, "..")]
        name = "__".join(parts).encode()[-_LONGEST_NAME:].decode(errors="ignore")
        file, number = folder / f"{name}.png", 1
        while file in files:
            number += 1
            file = folder / f"{name}-{number}.png"
        files[file] = None
    return list(files)


def _write_numbers(heat: NDArray[np.float32], source: Path, picture: Path) -> Path:
    """Write a heat map as numbers beside its picture; the file."""
    import numpy as np

    from ahl._common.files import written_whole
    from ahl.data.images.reading import image_shape
    from ahl.scoring.places import resized_heat

    file = picture.with_suffix(".npy")
    with written_whole(file) as path, path.open("wb") as unfinished:
        np.save(unfinished, resized_heat(heat, image_shape(source)))
    return file
