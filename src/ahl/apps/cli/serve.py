"""`ahl serve`."""

from __future__ import annotations

from pathlib import Path

import click

from ahl._common.errors import ConfigurationError
from ahl.apps.cli.groups import ScorerComputing, existing_model
from ahl.apps.cli.options import FOLDER, POSITIVE, option, options, takes


@options
class ServeOptions:
    """The options of `ahl serve`; sizes in MiB."""

    host: str = option(
        "Address to listen on; others than this machine's own need --token-file.",
        default="127.0.0.1",
    )
    port: int = option(
        "Port to listen on; 0 takes a free one.", default=8000, type=click.IntRange(0, 65535)
    )
    workers: int = option(
        "Processes that share the port, each with the model in its memory, once a pass.",
        default=1,
        type=click.IntRange(1, 64),
    )
    token_file: Path | None = option(
        "File with the secret that clients show; readable by its owner alone.",
        default=None,
        type=click.Path(path_type=Path),
    )
    names: tuple[str, ...] = option(
        "Host name that a proxy on this machine passes on; may be repeated.",
        "--allow-host",
        default=(),
        metavar="NAME",
    )
    root_path: str = option(
        "Path under which a proxy shows the service, such as /inspection.",
        default="",
        metavar="PATH",
    )
    feedback_dir: Path | None = option(
        "Folder for what people answer on the page, for `ahl update --feedback`.",
        default=None,
        type=FOLDER,
    )
    max_feedback_mib: int = option("Size of that folder.", default=1024, type=POSITIVE)
    access_log: bool = option("Write a JSON line a request to standard error.", default=False)
    max_image_mib: int = option("Size of one image's file.", default=32, type=POSITIVE)
    max_request_mib: int = option("Size of a request.", default=64, type=POSITIVE)
    max_images: int = option("Images in a request.", default=64, type=POSITIVE)
    max_pixels: int = option("Pixels of an image.", default=50_000_000, type=POSITIVE)
    max_waiting: int = option(
        "Images accepted and not answered, in each process; beyond, clients have to wait.",
        default=256,
        type=POSITIVE,
    )
    max_waiting_mib: int = option(
        "Size of the requests that hold them.", default=256, type=POSITIVE
    )
    max_connections: int = option(
        "Open at once, in each process; idle ones give way.", default=512, type=POSITIVE
    )
    timeout: float = option(
        "Seconds from the start of a request to its answer.",
        default=30.0,
        type=click.FloatRange(min=0.1),
    )
    batch: int = option(
        "Images that share a pass through the model, if so many wait.",
        default=4,
        type=click.IntRange(1, 256),
    )
    passes: int | None = option(
        "Passes at a time, each with the model in memory and a share of the threads; 1: an idle "
        "service is quicker [default: 2; 1 on a GPU, or with one thread].",
        default=None,
        type=click.IntRange(1, 64),
    )
    computing: ScorerComputing


@click.command()
@existing_model
@takes(ServeOptions)
def serve(model: Path, options: ServeOptions) -> None:
    """Score images over HTTP, and on a page for people.

    POST an image, or several as files of a form, to /v1/score; the answer has for each image what
    `ahl predict --json` prints. / is a page for people: drop images, look, and say what the model
    got wrong, if there is a --feedback-dir. /docs lists all addresses. What was accepted is
    answered before SIGTERM or Ctrl-C end the service.

    \b
      ahl serve parts.ahl
      curl --data-binary @new.jpg localhost:8000/v1/score
    """
    try:
        from ahl.apps.serve.server import serve as serve_until_stopped
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The service needs {error.name}: install it with pip install 'ahl[serve]' (without "
            "torch, 'ahl-runtime[serve]')."
        ) from None
    from ahl.apps.serve.settings import MEBIBYTE, Limits, Settings, read_token

    same = ("host", "port", "workers", "passes", "names", "root_path", "access_log", "feedback_dir")
    settings = Settings(
        model=model,
        **{name: getattr(options, name) for name in same},
        threads=options.computing.threads,
        device=options.computing.device,
        token=None if options.token_file is None else read_token(options.token_file),
        max_feedback_bytes=options.max_feedback_mib * MEBIBYTE,
        limits=Limits(
            image_bytes=options.max_image_mib * MEBIBYTE,
            request_bytes=options.max_request_mib * MEBIBYTE,
            images=options.max_images,
            pixels=options.max_pixels,
            waiting_images=options.max_waiting,
            waiting_bytes=options.max_waiting_mib * MEBIBYTE,
            connections=options.max_connections,
            seconds=options.timeout,
            batch=options.batch,
        ),
    )
    serve_until_stopped(settings, lambda line: click.echo(line, err=True))
