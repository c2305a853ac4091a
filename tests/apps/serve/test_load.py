"""Many at once: passes are shared, the house is bounded, and nobody waits for ever."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fakes import FakeScorer, form, png

from ahl.apps.serve import app as application
from ahl.apps.serve.admission import Admission, RefusedError
from ahl.apps.serve.bodies import Upload
from ahl.apps.serve.passes import Decoder
from ahl.apps.serve.settings import Limits
from ahl.apps.serve.worker import Waiting, WaitingLine, Wishes, Worker

PNG = {"content-type": "image/png"}


def metric(client, name):
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    raise AssertionError(name)


def until(condition):
    """Wait for what other threads bring about; never for a time."""
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it did not come about")


def test_what_waits_shares_a_pass_and_everyone_gets_their_own_score(serve):
    scorer = FakeScorer(is_open=False)
    client = serve(scorer, batch=16)
    with ThreadPoolExecutor(40) as pool:
        answers = [
            pool.submit(client.post, "/v1/score", content=png(grey), headers=PNG)
            for grey in range(40)
        ]
        assert scorer.entered.acquire(timeout=10)
        until(lambda: metric(client, "ahl_waiting_images") == 40)
        until(lambda: metric(client, "ahl_line_images") == 40 - scorer.batches[0][0])
        scorer.open.set()
        scores = [answer.result().json()["images"][0]["score"] for answer in answers]
    assert scores == [float(grey) for grey in range(40)]
    sizes = [size for size, *_ in scorer.batches]
    assert sum(sizes) == 40
    assert sizes[1:3] == [16, 16], "a full pass as soon as so many wait"
    assert metric(client, "ahl_batch_images_count") == len(sizes)
    assert metric(client, 'ahl_images_total{outcome="scored"}') == 40
    assert metric(client, "ahl_waiting_images") == 0


def test_an_idle_service_waits_for_nobody(serve):
    scorer = FakeScorer()
    client = serve(scorer)
    for grey in range(3):
        client.post("/v1/score", content=png(grey), headers=PNG)
    assert [size for size, *_ in scorer.batches] == [1, 1, 1]


def test_a_full_house_says_when_to_come_back(serve):
    scorer = FakeScorer(is_open=False)
    client = serve(scorer, waiting_images=4, images=4)
    with ThreadPoolExecutor(2) as pool:
        three = form(*[(str(i), png(i)) for i in range(3)])
        first = pool.submit(client.post, "/v1/score", files=three)
        assert scorer.entered.acquire(timeout=10)
        too_many = client.post("/v1/score", files=three[:2])
        assert too_many.status_code == 429
        assert too_many.json()["error"]["code"] == "queue_full"
        assert int(too_many.headers["retry-after"]) >= 1
        fits = pool.submit(client.post, "/v1/score", content=png(), headers=PNG)
        until(lambda: metric(client, "ahl_waiting_images") == 4)
        assert client.post("/v1/score", content=png(), headers=PNG).status_code == 429
        assert client.get("/readyz").status_code == 200
        scorer.open.set()
        assert first.result().status_code == fits.result().status_code == 200
    assert client.post("/v1/score", files=three).status_code == 200, "all room is given back"
    assert metric(client, 'ahl_refusals_total{code="queue_full"}') == 2


def test_bytes_that_wait_are_bounded_too(serve):
    scorer = FakeScorer(is_open=False)
    client = serve(scorer, waiting_bytes=3000, request_bytes=2000)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/v1/score", content=png() + bytes(1500), headers=PNG)
        assert scorer.entered.acquire(timeout=10)
        second = client.post("/v1/score", content=png() + bytes(1500), headers=PNG)
        assert second.status_code == 429
        scorer.open.set()
        assert first.result().status_code == 200


def test_who_waits_too_long_is_told_and_no_longer_in_line(serve):
    scorer = FakeScorer(is_open=False)
    client = serve(scorer, seconds=0.3)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/v1/score", content=png(), headers=PNG)
        assert scorer.entered.acquire(timeout=10)
        late = client.post("/v1/score", files=form(("a", png()), ("b", png())))
        assert (late.status_code, late.json()["error"]["code"]) == (503, "timeout")
        assert late.headers["retry-after"]
        assert first.result().status_code == 503
        assert metric(client, "ahl_waiting_images") == 0
    scorer.open.set()
    assert client.post("/v1/score", content=png(5), headers=PNG).status_code == 200
    assert [size for size, *_ in scorer.batches] == [1, 1], "nobody waited for the other two"


def waiting(heat_maps=False):
    return Waiting(
        wishes=Wishes(heat_map="raw" if heat_maps else "0"),
        pixels=np.zeros((1, 1, 3), dtype=np.uint8),
    )


def test_the_line_takes_those_alike_and_keeps_the_others_in_order():
    line = WaitingLine()
    plain, mapped = [waiting() for _ in range(3)], [waiting(heat_maps=True) for _ in range(2)]
    for one in (plain[0], mapped[0], plain[1], mapped[1], plain[2]):
        line.put(one)
    assert line.take(2) == plain[:2]
    assert line.take(9) == mapped
    assert line.take(9) == plain[2:]


def test_the_line_leaves_out_who_went_away():
    line = WaitingLine()
    gone, stays = waiting(), waiting()
    for one in (gone, stays):
        line.put(one)
    assert gone.answer.cancel()
    assert line.take(9) == [stays]


def test_a_closed_line_is_emptied_first():
    line = WaitingLine()
    last, late = waiting(), waiting()
    line.put(last)
    line.close()
    line.put(late)
    assert late.answer.cancelled()
    assert line.take(9) == [last]
    assert line.take(9) == []


def test_each_pass_has_a_thread_of_its_own_and_what_hangs_ends_when_it_stops():
    passes = [FakeScorer(is_open=False), FakeScorer(is_open=False)]
    worker = Worker(passes, decoders=[Decoder(10**6, 30.0, 2**30)], batch=2)
    jobs = [worker.submit(Upload(name="a", data=png(n)), Wishes()) for n in range(9)]
    for one in passes:
        assert one.entered.acquire(timeout=30), "both are in a pass at the same time"
    passes[0].open.set()
    held = passes[1].batches[0][0]
    until(lambda: sum(job.answer.done() for job in jobs) == 9 - held)
    worker.stop()
    until(lambda: not worker.ready)


def test_a_batch_that_cannot_be_counted_is_answered_and_so_is_the_next():
    def on_batch(images, seconds):
        raise OSError("no space left")

    worker = Worker(
        [FakeScorer()], decoders=[Decoder(10**6, 30.0, 2**30)], batch=4, on_batch=on_batch
    )
    for grey in (3, 5):
        waiting = worker.submit(Upload(name="a.png", data=png(grey)), Wishes())
        assert waiting.answer.result(timeout=10).score == float(grey)
    worker.stop()


def test_processes_that_cannot_be_started_are_tried_again(monkeypatch):
    """There may be too many of them on the machine for a while."""
    monkeypatch.setattr("ahl.apps.serve.worker.AGAIN", 0.01)
    failing = [OSError("no process"), OSError("no process")]

    class Late(FakeScorer):
        def mend(self):
            if failing:
                raise failing.pop()

    decoder = Decoder(10**6, 30.0, 2**30)
    monkeypatch.setattr(decoder, "start", Late(is_open=True).mend)
    worker = Worker([Late()], decoders=[decoder], batch=1)
    for grey in (3, 5):
        waiting = worker.submit(Upload(name="a.png", data=png(grey)), Wishes())
        assert waiting.answer.result(timeout=30).score == float(grey)
    assert failing == []
    worker.stop()


def test_what_would_not_be_answered_in_time_is_not_accepted():
    admission = Admission(Limits(seconds=60.0))
    for _ in range(100):
        admission.waited(4, 40.0)  # 10 s an image
    with contextlib.ExitStack() as house:
        for _ in range(4):
            house.enter_context(admission.request())
        with pytest.raises(RefusedError, match="try again in"):
            house.enter_context(admission.request())
    assert admission.images == 0
    with admission.request() as place:  # with nobody waiting it learns how long it takes now
        place.take(images=60)


def test_drawing_does_not_wait_behind_what_waits_to_be_decoded(serve, monkeypatch):
    decoding, drawn = threading.Event(), []
    monkeypatch.setattr(
        application, "answer_of", lambda name, *_: drawn.append(name) or {"name": name}
    )
    workers = []

    class Known(Worker):
        def __init__(self, *arguments, **settings):
            super().__init__(*arguments, **settings)
            workers.append(self)

    monkeypatch.setattr("ahl.apps.serve.worker.Worker", Known)
    scorer = FakeScorer(is_open=False)
    client = serve(scorer)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/v1/score?heat_map=1", content=png(), headers=PNG)
        assert scorer.entered.acquire(timeout=10)
        blocked = [workers[0].pool.submit(decoding.wait, 30) for _ in range(8)]
        scorer.open.set()
        assert first.result(timeout=20).status_code == 200
        assert drawn
        decoding.set()
    assert all(one.result() for one in blocked)
