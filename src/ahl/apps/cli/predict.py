"""`ahl predict`: scores printed, or with --output written into a folder."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from ahl._common.errors import ConfigurationError, DataError, ImageError
from ahl._common.text import printable
from ahl.apps.cli.bulk import BulkOptions, score_to_folder
from ahl.apps.cli.common import (
    SKIPPED,
    USAGE,
    check_writable,
    images_of,
    indented,
    json_line,
    say,
    stderr_console,
    tell,
)
from ahl.apps.cli.groups import ScorerComputing, existing_model, json_flag
from ahl.apps.cli.options import FILE, FOLDER, option, options, takes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ahl._common.types import ImageSize
    from ahl.data.images.reading import ImageSource
    from ahl.model.card import ModelCard
    from ahl.scoring.prediction import Prediction
    from ahl.scoring.scorer import Scorer
    from ahl.scoring.words import Tally

_TOGETHER: Final = 256
"""Images hashed ahead of the scorer: a multiple of the batch of every preset."""


@options
class PredictOptions:
    """The options of `ahl predict`.

    Raises:
        ConfigurationError: if options do not go together.
    """

    heat_maps: Path | None = option(
        "Folder for heat maps: pictures of where in each image the evidence lies.",
        default=None,
        type=FOLDER,
    )
    npy: bool = option(
        "With --heat-maps: also write each map as a float32 array of the image's size.",
        default=False,
    )
    why: bool = option(
        "Show below each image why it is anomalous, and the most similar training images.",
        default=False,
    )
    sort: Literal["given", "score", "path"] = option(
        "Order of the images: as given, by score with the highest first, or by path.",
        default="given",
    )
    csv: Path | None = option(
        "Also write a table of all images to this file.", default=None, type=FILE
    )
    bulk: BulkOptions
    computing: ScorerComputing
    as_json: bool = json_flag()

    def __post_init__(self) -> None:
        if self.npy and self.heat_maps is None:
            raise ConfigurationError("--npy needs --heat-maps DIR.")
        own = self.why or self.heat_maps or self.csv or self.sort != "given"
        if self.bulk.output is not None and own:
            raise ConfigurationError(
                "--why, --heat-maps, --sort and --csv cannot be combined with --output."
            )


@click.command()
@existing_model
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@takes(PredictOptions)
def predict(model: Path, paths: tuple[str, ...], options: PredictOptions) -> None:
    """Score images with a trained MODEL.

    Each PATH is a file, a folder (with its subfolders) or a glob such as 'parts/**/*.png'. The
    score is higher for more anomalous images and has no fixed range: compare scores of one
    model only. The probability (0 to 1) is how likely an image with this score is defective, if
    good and defective images were equally common. With a threshold (`ahl threshold`), each image is
    called normal or anomalous; a question mark means that the threshold was set on too few good
    images to be sure.

    --why and --heat-maps show why an image is anomalous, and where: it looks like a defect seen in
    training, like a synthetic defect, or unlike all good parts. Red begins above the highest values
    of usual good images, and means the same in all pictures of one model; in an image without red,
    the highest values are blue. The strongest places are outlined, and `places` in --json has their
    boxes. With both options, each picture also shows the training defect and the good image that
    are most similar.

    With --json, one object per line: path, score, probability, heads (each head's own score, higher
    = more anomalous) and evidence (what each head, and the memory of normals, adds to the score),
    or path and error. With a threshold also anomalous (the score lies above it) and verdict
    (uncertain instead of a question mark). trained_on: the model was trained on this very image. An
    unreadable file never stops the rest. The last lines count the images by verdict.

    With --output, these values except trained_on are written as Parquet files: for collections too
    large for one machine or one sitting (docs/bulk.md).

    Exit status: 0 done, 1 failed, 2 wrong usage, 3 done, but images were
    skipped or have no heat map.
    """
    as_json = options.as_json
    if options.bulk.output is not None:
        score_to_folder(model, paths, options.bulk, options.computing, as_json=as_json)
        return
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.apps.cli.spreadsheet import write_csv
    from ahl.data.images.variety import notes_on_numbers
    from ahl.scoring.opening import open_scorer
    from ahl.scoring.words import Tally

    check_writable(options.csv)
    try:
        images = images_of(paths)
    except DataError as error:
        click.echo(f"ahl: {error}", err=True)
        raise SystemExit(USAGE) from None
    files = _heat_map_files(options.heat_maps, images)
    scorer = open_scorer(model, device=options.computing.device, threads=options.computing.threads)
    for note in notes_on_numbers(images, scorer.card.bit_depth):
        say(note)
    tally, title = Tally(), [] if as_json else [_title(scorer.card)]
    scored = _scored(scorer, images, files, options, tally)
    if options.sort == "given":
        kept = []
        click.echo("".join(f"{line}\n" for line in title), nl=False)
        for one in scored:
            click.echo(one.text)
            kept += [one] if options.csv else []
    else:
        with ConsoleCallback(stderr_console(quiet=as_json)) as console:
            kept = list(console.followed("scoring", scored, len(images)))
        kept.sort(key=_by_path if options.sort == "path" else _by_score)
        click.echo("\n".join([*title, *(one.text for one in kept)]))
    if options.csv is not None:
        write_csv([one.values for one in kept], options.csv)
    if not as_json:
        tell("\n" + "\n".join(tally.sentences()))
    if tally.unreadable or tally.undrawn:
        raise SystemExit(SKIPPED)


def _scored(
    scorer: Scorer,
    images: Sequence[Path],
    files: Sequence[Path],
    options: PredictOptions,
    tally: Tally,
) -> Iterator[_Scored]:
    """Score the images, draw them if asked for, and count them."""
    from ahl._common.types import Pinned
    from ahl.scoring.sheet import draw_sheet

    card, trained_on, why = scorer.card, scorer.trained_on, options.why
    for number, source, prediction in _predictions(scorer, images, options):
        path = str(images[number])
        values = {"path": path, **prediction.to_json(why=card if why else None)}
        if trained_on and isinstance(source, Pinned) and prediction.score is not None:
            values["trained_on"] = source.sha256 in trained_on
        if (heat := prediction.heat_map) is not None:
            file = files[number]
            try:
                size = draw_sheet(source, path, prediction, file, bit_depth=card.bit_depth)
                values["heat_map"] = str(file)
                if options.npy:
                    values["heat_map_npy"] = str(_write_numbers(heat, size, file))
            except ImageError as error:  # it was there, or another one, when it was scored
                tally.undrawn += 1
                say(f"No heat map of {printable(path)}: {error}.")
        tally.add(prediction, trained_on=values.get("trained_on", False))
        yield _Scored(
            values, json_line(values) if options.as_json else _lines(prediction, values, card)
        )


def _predictions(
    scorer: Scorer, images: Sequence[Path], options: PredictOptions
) -> Iterator[tuple[int, ImageSource, Prediction]]:
    """Each image's position, its source with the hash of its content, and its prediction.

    A file is hashed first, and read only if it still has that content, so that whatever is drawn or
    said of it comes from the very bytes that were scored.
    """
    from ahl.data.images.reading import content_hash, pinned

    for start in range(0, len(images), _TOGETHER):
        sources: list[ImageSource] = [*images[start : start + _TOGETHER]]
        for number, source in enumerate(sources):
            with suppress(ImageError):  # scoring will say why it cannot be read
                sources[number] = pinned(source, content_hash(source))
        drawn = options.heat_maps is not None
        for one in scorer.predict(sources, heat_maps=drawn, nearest=options.why):
            yield start + one.index, sources[one.index], one


@dataclass(frozen=True)
class _Scored:
    """One image's output: its JSON values, and the text that is printed."""

    values: dict[str, Any]
    text: str


def _by_path(one: _Scored) -> str:
    return str(one.values["path"])


def _by_score(one: _Scored) -> tuple[float, str]:
    """Sort key: the highest score first, images without a score last."""
    return -one.values.get("score", -inf), _by_path(one)


def _title(card: ModelCard) -> str:
    rated, decided = card.probability is not None, card.decision is not None
    columns = f"{'probability  ' if rated else ''}{'verdict     ' if decided else ''}"
    return f"{'score':>10}  {columns}path"


def _lines(prediction: Prediction, values: dict[str, Any], card: ModelCard) -> str:
    """The prediction as lines for people; with reasons if these are among its JSON values."""
    from ahl.scoring.words import called, why_in_words

    path = printable(values["path"])
    if prediction.score is None:
        return f"{'skipped':>10}  {path}: {prediction.error}"
    verdict = ""
    if prediction.verdict is not None:
        verdict = f"{called(prediction.anomalous, prediction.verdict):<12}"
    probability = "" if prediction.probability is None else f"{prediction.probability:>8.2f}  "
    line = f"{prediction.score:>10.4f}  {probability}{verdict}{path}"
    if values.get("trained_on"):
        line += " (trained on)"
    if "why" in values:
        line += "\n" + indented(" ".join(why_in_words(prediction, card)))
    return line


def _heat_map_files(folder: Path | None, images: Sequence[Path]) -> list[Path]:
    """A file for each image, named after its path, all different; no files without a folder.

    Raises:
        ConfigurationError: if the folder holds images.
    """
    from ahl.data.images.finding import claim_folder
    from ahl.scoring.sheet import picture_name

    if folder is None:
        return []
    claim_folder(folder, "--heat-maps")
    files: dict[str, Path] = {}  # by what a file system takes for one name that knows no case
    for image in images:
        parts = [part for part in image.parts if part not in (image.anchor, "..")]
        name = picture_name(*parts)
        file, number = folder / f"{name}.png", 1
        while file.name.casefold() in files:
            number += 1
            file = folder / f"{name}-{number}.png"
        files[file.name.casefold()] = file
    return list(files.values())


def _write_numbers(heat: NDArray[np.float32], size: ImageSize, picture: Path) -> Path:
    """Write a heat map as numbers, at the image's size, beside its picture; return the file."""
    import numpy as np

    from ahl._common.files import written_whole
    from ahl.scoring.places import resized_heat

    file = picture.with_suffix(".npy")
    with written_whole(file) as path, path.open("wb") as unfinished:
        np.save(unfinished, resized_heat(heat, size))
    return file
