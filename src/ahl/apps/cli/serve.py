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
        "Address to listen on; one that other machines can reach needs --token-file.",
        default="127.0.0.1",
    )
    port: int = option(
        "Port to listen on; 0 picks a free one.", default=8000, type=click.IntRange(0, 65535)
    )
    workers: int = option(
        "Processes that share the port; each holds the model in memory once per pass.",
        default=1,
        type=click.IntRange(1, 64),
    )
    token_file: Path | None = option(
        "File with the secret that clients must send; only its owner may read it.",
        default=None,
        type=click.Path(path_type=Path),
    )
    names: tuple[str, ...] = option(
        "Host name in requests that a proxy on this machine forwards. May be repeated.",
        "--allow-host",
        default=(),
        metavar="NAME",
    )
    root_path: str = option(
        "Path under which a proxy publishes the service, such as /inspection.",
        default="",
        metavar="PATH",
    )
    feedback_dir: Path | None = option(
        "Folder for images labelled on the page, for `ahl update --feedback`.",
        default=None,
        type=FOLDER,
    )
    max_feedback_mib: int = option(
        "Largest size of the feedback folder.", default=1024, type=POSITIVE
    )
    access_log: bool = option("Write one JSON line per request to standard error.", default=False)
    max_image_mib: int = option("Largest size of one image file.", default=32, type=POSITIVE)
    max_request_mib: int = option("Largest size of a request.", default=64, type=POSITIVE)
    max_images: int = option("Most images in a request.", default=64, type=POSITIVE)
    max_pixels: int = option("Most pixels of an image.", default=50_000_000, type=POSITIVE)
    max_waiting: int = option(
        "Most images waiting for their answer, in each process; further requests are refused "
        "(429).",
        default=256,
        type=POSITIVE,
    )
    max_waiting_mib: int = option(
        "Largest total size of the requests with these images.", default=256, type=POSITIVE
    )
    max_connections: int = option(
        "Most connections open at once, in each process; idle ones are closed first.",
        default=512,
        type=POSITIVE,
    )
    timeout: float = option(
        "Most seconds from the start of a request to its answer.",
        default=30.0,
        type=click.FloatRange(min=0.1),
    )
    batch: int = option(
        "Most waiting images that share a pass through the model.",
        default=4,
        type=click.IntRange(1, 256),
    )
    passes: int | None = option(
        "Passes at a time, each with a copy of the model in memory and a share of the threads; "
        "with 1, a single request is answered faster [default: 2; 1 on a GPU, or with one "
        "thread].",
        default=None,
        type=click.IntRange(1, 64),
    )
    computing: ScorerComputing


@click.command()
@existing_model
@takes(ServeOptions)
def serve(model: Path, options: ServeOptions) -> None:
    """Score images over HTTP and on a web page.

    POST an image, or several as files of a form, to /v1/score; the answer has for each image what
    `ahl predict --json` prints. / is a web page: drop images, look at the results and, with
    --feedback-dir, label what the model got wrong. /docs lists all endpoints. On SIGTERM or Ctrl-C,
    accepted requests are answered before the service stops.

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
