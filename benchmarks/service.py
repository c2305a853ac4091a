"""Images per second of `ahl serve` against the bare scorer on one machine, measured alternately.

    python benchmarks/service.py
    python benchmarks/service.py --backbone mobilenetv2_100 --weights mobilenetv2_100.safetensors \
        --pad-type same

Bare: batches of images that are decoded already, in this process. Files: the same from JPEG files,
as `ahl predict` does it, in its own batches. Service: the same JPEGs over HTTP on this machine,
with one and with 16 images per request, from several clients at once, and from one client, which
gives the latency of a single image. The clients' use of the cores counts against the service.
Besides images per second, it prints the CPU time of scorer or service per image, which other work
on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import io
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import as_command  # noqa: F401 - before torch
import numpy as np
import psutil
from drawn_model import add_model_options, draw, train
from PIL import Image

from ahl.config.image_size import in_pixels
from ahl.data.images.reading import read_pixels
from ahl.data.images.resizing import resize_pixels
from ahl.scoring.opening import open_scorer

FORM = 16
HEAD = (
    "POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n"
)


@contextmanager
def serving(
    model: Path, options: argparse.Namespace, threads: int
) -> Iterator[tuple[int, psutil.Process]]:
    """Run the service in processes of its own; yield its port and the parent process."""
    command = [sys.executable, "-m", "ahl", "serve", str(model), "--port", "0"]
    command += ["--threads", str(max(1, threads // options.workers))]
    command += ["--batch", str(options.batch), "--workers", str(options.workers)]
    if options.passes is not None:
        command += ["--passes", str(options.passes)]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stderr=log)
        try:
            while True:
                log.seek(0)
                found = re.search(r"http://127.0.0.1:(\d+)\b", log.read())
                if found and ready(int(found[1])):
                    break
                if process.poll() is not None:
                    raise SystemExit("The service did not start.")
                time.sleep(0.05)
            yield int(found[1]), psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait()


def ready(port: int) -> bool:
    """True if the service answers on this port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
            return True
    except OSError:
        return False


def request_of(images: Sequence[bytes]) -> bytes:
    """Request with a single image as its body, or with several as a form."""
    if len(images) == 1:
        return HEAD.format("image/jpeg", len(images[0])).encode() + images[0]
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n%b\r\n'
        % one
        for one in images
    )
    body += b"--x--\r\n"
    return HEAD.format("multipart/form-data; boundary=x", len(body)).encode() + body


def ask(port: int, requests: Sequence[bytes]) -> None:
    """Send requests one after another over one connection."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for request in requests:
            connection.sendall(request)
            answer = connection.recv(65536)
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(65536)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]
            while len(body) < length:
                body += connection.recv(65536)
            if b" 200 " not in head[:20] or b'"error"' in body:
                raise SystemExit(f"The service answered {head[:80]!r} {body[:200]!r}")


def all_ask(port: int, requests: Sequence[bytes], clients: int) -> None:
    """Send requests, shared among several clients at once."""
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda n: ask(port, requests[n::clients]), range(clients)))


def processor_seconds(process: psutil.Process) -> float:
    """CPU seconds of a process and those it started."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in times)


Work = tuple[psutil.Process, Callable[[], object]]
"""The process whose CPU time counts, and the work."""


def in_turns(works: Mapping[str, Work], turns: int) -> dict[str, list[tuple[float, float]]]:
    """Wall and CPU seconds of each piece of work in each turn."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(turns):
        for name, (process, work) in works.items():
            started, used = time.perf_counter(), processor_seconds(process)
            work()
            taken[name].append((time.perf_counter() - started, processor_seconds(process) - used))
    return taken


def measure(model: Path, options: argparse.Namespace, threads: int) -> None:
    """Print images per second, and the ratios to the bare scorer of the same turn."""
    images = draw(options.images, options.side, square=False, seed=2)
    contents = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, format="JPEG", quality=90)
        contents.append(file.getvalue())
    engine = open_scorer(model, device="cpu", threads=threads)
    with tempfile.TemporaryDirectory() as folder, serving(model, options, threads) as started:
        port, service = started
        files = [Path(folder) / f"{i:05d}.jpg" for i in range(len(images))]
        for content, path in zip(contents, files, strict=True):
            path.write_bytes(content)
        pixels = np.stack([resize_pixels(read_pixels(f), engine.card.image_size) for f in files])
        size = options.batch
        batches = [pixels[i : i + size] for i in range(0, len(pixels), size)]
        single = [request_of([content]) for content in contents]
        forms = [request_of(contents[i : i + FORM]) for i in range(0, len(contents), FORM)]
        own = psutil.Process()
        works: dict[str, Work] = {
            "bare": (own, lambda: [engine.score_pixels(batch) for batch in batches]),
            "files": (own, lambda: list(engine.predict(files))),
            f"service, 1 a request, {options.clients} clients": (
                service,
                lambda: all_ask(port, single, options.clients),
            ),
            "service, 1 a request, 1 client": (service, lambda: all_ask(port, single, 1)),
            "service, 16 a request, 4 clients": (service, lambda: all_ask(port, forms, 4)),
        }
        in_turns(works, 1)  # warm
        taken = in_turns(works, options.turns)
    name = options.model.name if options.model else options.backbone
    print(
        f"{name}, {in_pixels(engine.card.image_size)}, {threads} threads, "
        f"batches of {options.batch}, "
        f"service: {options.workers} processes, {options.passes or 'its own choice of'} passes"
    )
    for name, turns in taken.items():
        pairs = list(zip(taken["bare"], turns, strict=True))
        ratios = [bare / own for (bare, _), (own, _) in pairs]
        used = [bare / own for (_, bare), (_, own) in pairs]
        milliseconds = 1000 * min(own for _, own in turns) / len(images)
        print(
            f"  {name:36} {len(images) / min(own for own, _ in turns):7.1f} images/s, of bare "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})   "
            f"processor {milliseconds:5.1f} ms an image, bare's share of it "
            f"{statistics.median(used):.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, help="measure this model instead of training one")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--workers", type=int, default=1, help="processes of the service")
    parser.add_argument("--passes", type=int, help="of the service at a time [default: its own]")
    parser.add_argument("--batch", type=int, default=4, help="of the bare engine and the service")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--turns", type=int, default=5)
    add_model_options(parser)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # not without ending the service
    with tempfile.TemporaryDirectory() as folder:
        model = options.model
        if model is None:
            model = Path(folder) / "model.ahl"
            train(options).save(model)
        for threads in options.threads:
            measure(model, options, threads)


if __name__ == "__main__":
    main()
