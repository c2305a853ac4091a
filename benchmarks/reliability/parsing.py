"""Reads files in a child process, so that crashes, hangs and excessive memory are noticed."""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

LONGEST = 30.0
"""Seconds that reading a file may take, on a busy machine."""


Take = Callable[[Path], str]
"""Reads a file and returns the outcome; an AHLError is a refusal, other exceptions are faults."""


def parse_all(
    files: Iterable[tuple[str, bytes]], take: Take, *, longest: float = LONGEST
) -> tuple[Counter[str], list[str]]:
    """Read each file.

    Args:
        files: names and contents.
        take: reads one file, in the child.
        longest: seconds that a file may take.

    Returns:
        number of files by outcome, and faults.
    """
    told: Counter[str] = Counter()
    faults: list[str] = []
    child = _Child(take, longest)
    for number, (name, data) in enumerate(files):
        outcome, fault = child.parse(name, data)
        told[f"{name.rpartition('.')[2]}: {outcome}"] += 1
        if fault:
            keep = Path(tempfile.gettempdir()) / f"ahl-malformed-{number}-{name}"
            keep.write_bytes(data)
            faults.append(f"{outcome}: {keep}: {fault}")
    told["largest MiB of memory"] = child.end()
    return told, faults


class _Child:
    def __init__(self, take: Take, longest: float) -> None:
        self._take, self._longest, self._peak = take, longest, 0
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, self._take), daemon=True)
        self._process.start()
        other.close()
        assert self._pipe.recv() == "ready"

    def parse(self, name: str, data: bytes) -> tuple[str, str]:
        self._pipe.send((name, data))
        try:
            if self._pipe.poll(self._longest):
                outcome, fault, peak = self._pipe.recv()
                self._peak = max(self._peak, peak)
                return outcome, fault
            outcome, fault = "hang", f"no answer in {self._longest:g} s"
            self._process.kill()
            self._process.join()
        except EOFError:
            self._process.join()
            outcome, fault = "crash", f"the process ended with {self._process.exitcode}"
        self._start()
        return outcome, fault

    def end(self) -> int:
        self._pipe.close()
        self._process.join()
        return self._peak


def _serve(pipe: Connection, take: Take) -> None:
    from ahl._common.errors import AHLError

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff tells of each fault there
    with tempfile.TemporaryDirectory() as folder:
        pipe.send("ready")
        while True:
            try:
                name, data = pipe.recv()
            except EOFError:
                return
            path, fault = Path(folder) / name, ""
            path.write_bytes(data)
            try:
                outcome = take(path)
            except AHLError as error:
                outcome = "refused"
                if not str(error).strip() or len(str(error)) > 2000:
                    fault = f"a message of {len(str(error))} characters"
            except BaseException:
                outcome, fault = "traceback", traceback.format_exc()[-1500:]
            path.unlink()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            pipe.send((outcome, fault, peak))


def read_image(path: Path) -> str:
    """Read an image and check its dtype and shape."""
    from ahl.data.images.reading import read_pixels

    pixels = read_pixels(path, max_pixels=50_000_000)
    if not (pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3):
        raise AssertionError(f"{pixels.dtype} {pixels.shape}")
    return "read"


def open_model(path: Path) -> str:
    """Open a model and score an image with it."""
    from common import picture

    from ahl.scoring.opening import open_scorer

    if path.suffix == ".onnx":
        open_scorer(path, device="openvino", threads=1)
    scorer = open_scorer(path, device="cpu", threads=1)
    (prediction,) = scorer.predict([picture(64, 1)], heat_maps=True, nearest=True)
    if prediction.score is None:
        return "opened, no score"
    return "opened, scored" if np.isfinite(prediction.score) else "opened, score no number"
