"""Offers a service twice its capacity, and checks every answer against the scorer's own.

    python benchmarks/reliability/load.py                       # 10 minutes, ONNX
    python benchmarks/reliability/load.py --kind ahl --minutes 2
    python benchmarks/reliability/load.py --model parts.onnx

Client and service share the machine. First, clients that each wait for their answers measure its
capacity; then requests come at twice that rate, whether earlier ones are answered or not. At the
end the service gets SIGTERM under that load. The exit status is 1 if anything was lost or wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from common import Service, export, serving, tell, train
from traffic import Ask, Judge, asks, known_images

from ahl.scoring.opening import open_scorer

SETTLING = 100.0
"""Seconds after which memory must be flat: until then processes grow to their largest images."""

PATIENCE = 90.0
"""Seconds after which an answer counts as lost; the service itself gives up after 30."""

FLAT = 0.05
"""Share, or 16 MiB, by which memory may be larger at the end than after the first fifth."""


@dataclass
class Sent:
    """A request's outcome."""

    kind: str
    waits: bool
    number: str
    at: float
    status: int | None = None
    seconds: float = 0.0
    failure: str = ""


class Client:
    """Sends requests and judges answers."""

    def __init__(self, port: int) -> None:
        self.port, self.judge = port, Judge()
        self.sent: list[Sent] = []
        self.faults: list[str] = []
        self.under_way: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count()

    def start(self, ask: Ask) -> asyncio.Task[None]:
        """Send a request without waiting for its answer."""
        one = Sent(ask.kind, ask.leaves is None, f"n{next(self._numbers)}", time.monotonic())
        self.sent.append(one)
        task = asyncio.create_task(self._send(one, ask))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)
        return task

    async def _send(self, one: Sent, ask: Ask) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._exchange(one, ask)
        except (OSError, EOFError, TimeoutError) as error:
            one.failure = repr(error)
        one.seconds = time.monotonic() - one.at

    async def _exchange(self, one: Sent, ask: Ask) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**24)
        try:
            writer.write(ask.text(one.number))
            if ask.leaves is not None and ask.leaves < 1:
                writer.write(ask.body[0][: int(ask.leaves * len(ask.body[0]))])
                await writer.drain()
                return
            for piece in ask.body:
                writer.write(piece)
                await writer.drain()
            if ask.leaves is not None:
                return
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value
                for name, _, value in (line.partition(": ") for line in head[1:])
                if name
            }
            body = await reader.readexactly(int(headers["content-length"]))
            one.status = int(head[0].split()[1])
            if headers.get("x-request-id") != one.number:
                self.faults.append("an answer to another request")
            self.faults += self.judge.faults(ask, one.status, headers, body)
        finally:
            writer.close()

    async def in_turn(self, stream: Iterator[Ask], clients: int, seconds: float) -> float:
        """Run clients that each wait for their answer; return requests answered per second."""
        until, before = time.monotonic() + seconds, len(self.sent)

        async def one_client() -> None:
            while time.monotonic() < until:
                await self.start(next(ask for ask in stream if ask.leaves is None))

        await asyncio.gather(*(one_client() for _ in range(clients)))
        answered = sum(one.status in (200, 422) for one in self.sent[before:])
        return answered / (time.monotonic() - until + seconds)

    async def at_rate(self, stream: Iterator[Ask], rate: float, seconds: float) -> float:
        """Send requests at random moments without waiting; return the longest delay, seconds."""
        gaps, started, latest = random.Random(0), time.monotonic(), 0.0
        due = started
        while (due := due + gaps.expovariate(rate)) < started + seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            latest = max(latest, time.monotonic() - due)
            self.start(next(stream))
        return latest


async def memory_of(process: psutil.Process, samples: list[tuple[float, float]]) -> None:
    """Record resident memory (MiB) of a process and its children once a second.

    Shared pages count in each process.
    """
    while True:
        size = 0
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):  # it has ended
                size += one.memory_info().rss
        samples.append((time.monotonic(), size / 2**20))
        await asyncio.sleep(1)


async def offer(
    client: Client, service: Service, options: argparse.Namespace, stream: Iterator[Ask]
) -> dict[str, object]:
    """Do the run; return its figures."""
    await client.in_turn(stream, options.clients, options.calibrate / 2)  # warm
    capacity = await client.in_turn(stream, options.clients, options.calibrate)
    samples: list[tuple[float, float]] = []
    watching = asyncio.create_task(memory_of(psutil.Process(service.process.pid), samples))
    first = len(client.sent)
    late = await client.at_rate(stream, 2 * capacity, 60 * options.minutes)
    await asyncio.gather(*client.under_way)
    watching.cancel()
    offered = client.sent[first:]
    for one in client.sent:
        if one.waits and one.status is None:
            client.faults.append(f"{one.kind}: no answer: {one.failure}")
    stop = await under_sigterm(client, service, stream, 2 * capacity, options.stop_after)
    return {
        "capacity_requests_s": round(capacity, 1),
        "offered_requests_s": round(len(offered) / (60 * options.minutes), 1),
        "sent_late_at_most_s": round(late, 2),
        **figures_of(offered),
        "scores_checked": client.judge.scores,
        "largest_relative_difference": float(f"{client.judge.largest:.2g}"),
        **memory_figures(samples, client.faults),
        **stop,
    }


async def under_sigterm(
    client: Client, service: Service, stream: Iterator[Ask], rate: float, seconds: float
) -> dict[str, object]:
    """Send SIGTERM under load; requests accepted before it must be answered."""
    first = len(client.sent)
    offering = asyncio.create_task(client.at_rate(stream, rate, 2 * seconds))
    await asyncio.sleep(seconds)
    stopped = time.monotonic()
    service.process.send_signal(signal.SIGTERM)
    await offering
    await asyncio.gather(*client.under_way)
    code = await asyncio.to_thread(service.process.wait, PATIENCE)
    if code != 0:
        client.faults.append(f"after SIGTERM the exit status is {code}")
    logged = service.requests()
    waits = [one for one in client.sent[first:] if one.waits]
    answered = [one for one in waits if one.status is not None]
    for one in client.sent:
        told = logged.get(one.number, "nothing") if one.waits else "left"
        if told not in ("left", one.status if one.status is not None else "nothing"):
            client.faults.append(
                f"{one.kind}: the service told {told}, the client heard {one.status} "
                f"({one.failure})"
            )
    client.faults += service.complaints()
    before = [one for one in waits if one.at < stopped]
    return {
        "sigterm": {
            "sent_before_it": len(before),
            "answered_of_them": sum(one.status is not None for one in before),
            "answered_after_it": sum(one.at + one.seconds > stopped for one in answered),
            "not_let_in_any_more": len(waits) - len(answered),
            "exit_status": code,
        }
    }


def figures_of(sent: Sequence[Sent]) -> dict[str, object]:
    """Counts by status and kind, and latencies, of all requests that were sent."""
    told = Counter(str(one.status) for one in sent if one.waits)
    took = [one.seconds for one in sent if one.status in (200, 422)]
    refused = [one.seconds for one in sent if one.status == 429]
    return {
        "requests": len(sent),
        "by_status": dict(sorted(told.items())),
        "hung_up": sum(not one.waits for one in sent),
        "accepted_s": percentiles(took),
        "refused_s": percentiles(refused),
        "by_kind": dict(sorted(Counter(one.kind for one in sent).items())),
    }


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {}
    values = np.percentile(seconds, [50, 95, 99, 100])
    return {
        name: round(float(value), 3)
        for name, value in zip(("p50", "p95", "p99", "max"), values, strict=True)
    }


def memory_figures(samples: Sequence[tuple[float, float]], faults: list[str]) -> dict[str, object]:
    """Memory figures after the first fifth (MiB); growth is added to the faults."""
    late = np.array(samples[len(samples) // 5 :])
    if len(late) < 5:
        return {}
    slope = float(np.polyfit(late[:, 0] / 60, late[:, 1], 1)[0])
    fifth = max(1, len(late) // 4)
    first, last = (float(np.median(part)) for part in (late[:fifth, 1], late[-fifth:, 1]))
    settled = samples[-1][0] - samples[0][0] > SETTLING
    if settled and last > first + max(16, FLAT * first):
        faults.append(f"memory grew from {first:.0f} to {last:.0f} MiB")
    return {
        "memory_mib": {
            "start": round(samples[0][1]),
            "second_fifth": round(first),
            "last_fifth": round(last),
            "peak": round(max(mib for _, mib in samples)),
            "slope_a_minute": round(slope, 2),
        }
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, help="a model of your own instead of a small one")
    parser.add_argument("--kind", choices=["onnx", "ahl"], default="onnx")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--calibrate", type=float, default=20, help="seconds")
    parser.add_argument("--stop-after", type=float, default=5, help="seconds of the last load")
    parser.add_argument("--clients", type=int, default=12, help="that measure the capacity")
    parser.add_argument("--sides", type=int, nargs="+", default=[96, 300, 640, 2000])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model or train(folder)
        if options.model is None and options.kind != "ahl":
            model = export(model)
        known = known_images(open_scorer(model, device="cpu"), folder, sides=options.sides)
        stream = asks(known, seed=options.seed)
        with serving(model) as service:
            client = Client(service.port)
            figures = asyncio.run(offer(client, service, options, stream))
    faults = Counter(client.faults)
    return tell(figures, [f"{times} x {what}" for what, times in faults.most_common(30)])


if __name__ == "__main__":
    sys.exit(main())
