"""`ahl serve`."""

from __future__ import annotations

from pathlib import Path

import click

from ahl._common.errors import ConfigurationError
from ahl.apps.cli.common import (
    errors_as_messages,
    existing_model,
    scorer_device_option,
    threads_option,
)


@click.command()
@existing_model
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; others than this machine's own want --token-file.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that share the port, each with the model in its memory, once a pass.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="File with the secret that clients show; readable by its owner alone.",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="Host name that a proxy on this machine passes on; may be repeated.",
)
@click.option(
    "--review-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for images that people mark on the page, for `ahl update --review`.",
)
@click.option(
    "--max-review-mib",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    help="Size of that folder.",
)
@click.option("--access-log", is_flag=True, help="Write a JSON line a request to standard error.")
@click.option(
    "--max-image-mib",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Size of one image's file.",
)
@click.option(
    "--max-request-mib",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Size of a request.",
)
@click.option(
    "--max-images",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Images in a request.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=50_000_000,
    show_default=True,
    help="Pixels of an image.",
)
@click.option(
    "--max-waiting",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Images accepted and not answered, in each process; beyond, clients are told to wait.",
)
@click.option(
    "--max-waiting-mib",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Size of the requests that hold them.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    help="Open at once, in each process.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=30.0,
    show_default=True,
    help="Seconds from the start of a request to its answer.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 256),
    default=4,
    show_default=True,
    help="Images that share a pass through the model, if so many wait.",
)
@click.option(
    "--passes",
    type=click.IntRange(1, 64),
    help="Passes at a time, each with the model in memory and a share of the threads; 1: an idle "
    "service is quicker [default: 2; 1 on a GPU, or with one thread].",
)
@scorer_device_option
@threads_option
@errors_as_messages
def serve(
    model: Path,
    host: str,
    port: int,
    workers: int,
    token_file: Path | None,
    names: tuple[str, ...],
    review_dir: Path | None,
    max_review_mib: int,
    access_log: bool,
    max_image_mib: int,
    max_request_mib: int,
    max_images: int,
    max_pixels: int,
    max_waiting: int,
    max_waiting_mib: int,
    max_connections: int,
    timeout: float,
    batch: int,
    passes: int | None,
    device: str,
    threads: int | None,
) -> None:
    """Score images over HTTP, and on a page for people, with a trained MODEL.

    POST an image, or several as files of a form, to /v1/score; the answer says of each what `ahl
    predict --json` says. / is a page for people: drop images, look, and say what the model got
    wrong, if there is a --review-dir. /docs lists all addresses. What was accepted is answered
    before SIGTERM or Ctrl-C end the service.

    \b
      ahl serve parts.ahl
      curl --data-binary @new.jpg -H 'Content-Type: image/jpeg' localhost:8000/v1/score
    """
    try:
        from ahl.apps.serve.server import serve as serve_until_stopped
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The service needs {error.name}: install it with pip install 'ahl[serve]' (without "
            "torch, 'ahl-runtime[serve]')."
        ) from None
    from ahl.apps.serve.access import read_token
    from ahl.apps.serve.settings import MEBIBYTE, Limits, Settings

    settings = Settings(
        model=model,
        host=host,
        port=port,
        workers=workers,
        threads=threads,
        passes=passes,
        device=device,
        token=None if token_file is None else read_token(token_file),
        names=names,
        access_log=access_log,
        review_dir=review_dir,
        max_review_bytes=max_review_mib * MEBIBYTE,
        limits=Limits(
            image_bytes=max_image_mib * MEBIBYTE,
            request_bytes=max_request_mib * MEBIBYTE,
            images=max_images,
            pixels=max_pixels,
            waiting_images=max_waiting,
            waiting_bytes=max_waiting_mib * MEBIBYTE,
            connections=max_connections,
            seconds=timeout,
            batch=batch,
        ),
    )
    serve_until_stopped(settings, lambda line: click.echo(line, err=True))
