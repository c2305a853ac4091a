"""Decoding and scoring where they can be ended, and a service that hangs in either."""

import io
import os
import signal
import sys
import time
from functools import partial
from types import SimpleNamespace

import httpx2
import numpy as np
import psutil
import pytest
from fakes import png
from PIL import Image
from running import running, until

from ahl._common.errors import ImageError, ModelFileError
from ahl.apps.serve.child import LateError
from ahl.apps.serve.passes import Decoder, ModelPass, open_passes
from ahl.apps.serve.settings import Limits, Settings
from tiny_graphs import SIDE, artefact, card, description

HEAD = b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
CARD = SimpleNamespace(image_size=(4, 6), bit_depth=16)
PIXELS = np.full((2, SIDE, SIDE, 3), 70, np.uint8)


@pytest.fixture
def decoder():
    made = Decoder(max_pixels=10**8, seconds=30.0, memory=2**30)
    yield made
    made.close()


def test_images_are_decoded_elsewhere(decoder):
    pixels, picture, notes = decoder.decode(png(70), "a.png", CARD, picture=True, look=True)
    assert (pixels.shape, picture.shape, notes) == ((4, 6, 3), (8, 8, 3), [])
    assert decoder.decode(png(), "a.png", CARD, picture=False, look=False)[1] is None
    with pytest.raises(ImageError, match="empty"):
        decoder.decode(b"", "a.png", CARD, picture=False, look=False)


def test_what_is_odd_about_numbers_is_said_of_images_decoded_elsewhere(decoder):
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8), 4000, np.uint16)).save(file, format="PNG")
    pixels, _, notes = decoder.decode(file.getvalue(), "a.png", CARD, picture=False, look=True)
    assert "no value above 4000" in notes[0]
    assert pixels.mean() == 4000 // 256
    twelve = SimpleNamespace(image_size=(4, 6), bit_depth=12)
    pixels, _, notes = decoder.decode(file.getvalue(), "a.png", twelve, picture=False, look=False)
    assert (pixels.mean(), notes) == (4000 // 16, [])


@pytest.fixture(scope="module")
def large():
    file = io.BytesIO()
    Image.new("RGB", (9000, 9000)).save(file, format="PNG", compress_level=1)
    return file.getvalue()


@pytest.mark.skipif(sys.platform != "linux", reason="held to on Linux")
def test_an_image_that_takes_too_much_memory_is_refused_and_the_next_is_decoded(large):
    decoder = Decoder(max_pixels=10**8, seconds=30.0, memory=2**26)
    with pytest.raises(ImageError, match="not enough memory"):
        decoder.decode(large, "a.png", CARD, picture=False, look=False)
    assert decoder.decode(png(70), "a.png", CARD, picture=False, look=False)[0].mean() == 70
    decoder.close()


def test_an_image_that_takes_too_long_is_given_up_and_the_next_is_decoded(large):
    decoder = Decoder(max_pixels=10**8, seconds=0.02, memory=2**30)
    decoder.start()
    with pytest.raises(ImageError, match=r"longer than 0\.02 s to decode"):
        decoder.decode(large, "a.png", CARD, picture=False, look=False)
    decoder.start()
    assert decoder.decode(png(70), "a.png", CARD, picture=False, look=False)[0].mean() == 70
    decoder.close()


@pytest.fixture
def settings(tmp_path):
    return Settings(model=artefact(tmp_path / "m.onnx"), threads=2, limits=Limits(seconds=30.0))


def test_passes_score_as_the_model_does(settings):
    passes = open_passes(settings)
    assert [one.card.sha256 for one in passes] == [card().sha256] * 2
    for one in passes:
        assert one.ready
        assert [found.score for found in one.score_pixels(PIXELS)] == [70.0, 70.0]
        one.close()


def test_a_pass_that_is_late_is_ended_and_mended(settings):
    one = ModelPass(settings, 0)
    hanging = psutil.Process(one._child._running[0].pid)
    hanging.suspend()  # as a graph that never ends
    one._seconds = 0.2
    with pytest.raises(LateError):
        one.score_pixels(PIXELS)
    assert not one.ready
    assert not hanging.is_running()
    one._seconds = 30.0
    one.mend()
    assert one.ready
    assert len(one.score_pixels(PIXELS)) == 2
    other = description(sha256="1" * 64)
    for change in (partial(artefact, described=other), os.remove):
        change(settings.model)
        one._child.end()
        with pytest.raises(ModelFileError):
            one.mend()
        assert not one.ready
    one.close()


def processes_of(service):
    """Those that score or decode: the fork server of each worker has started them."""
    children = psutil.Process(service.process.pid).children(recursive=True)
    return [one for one in children if "forkserver" in str(one.parent().cmdline())]


def suspend_all(service):
    """Suspend them, once none is just being started: its parent waits for its number."""
    time.sleep(1.0)
    until(lambda: all(one.status() in ("sleeping", "stopped") for one in processes_of(service)))
    for one in processes_of(service):
        one.suspend()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_hangs_is_given_up_and_so_is_it_when_it_stops(workers, settings, tmp_path):
    log = tmp_path / "log"
    options = ("--timeout", "2", "--workers", workers)
    with running(settings.model, log, *options) as service:
        until(lambda: service.score(png(70)).status_code == 200)
        suspend_all(service)
        began = time.monotonic()
        assert service.score(png(70)).status_code in (422, 503)
        until(lambda: service.score(png(70)).status_code == 200)
        # Another worker may have met it later, and be replacing its pass still.
        until(lambda: httpx2.get(f"{service.address}/readyz").status_code == 200)
        assert time.monotonic() - began < 30
        suspend_all(service)
        began, left = time.monotonic(), processes_of(service)
        with service.connect(HEAD + b"Content-Length: 3\r\n\r\nabc"):
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(timeout=60) == 0
        assert time.monotonic() - began < 2 + 5 + 8, "what is late is given up"
        until(lambda: not any(one.is_running() for one in left))
    assert "Traceback" not in log.read_text()
