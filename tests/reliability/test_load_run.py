"""Seconds of what benchmarks/reliability/load.py does for minutes; and that it would notice."""

import json
from dataclasses import replace

import pytest

from ahl.scoring.prediction import Prediction
from reliability_runs import benchmark, module


def test_nothing_is_lost_or_wrong_at_twice_capacity(model):
    told = benchmark(
        *("load.py", "--model", model, "--minutes", 0.05, "--calibrate", 1, "--stop-after", 1),
        *("--sides", 64, 300),
    )
    assert told["faults"] == []
    assert told["scores_checked"] > 20
    assert told["sigterm"]["exit_status"] == 0


@pytest.fixture
def asked():
    traffic = module("traffic")
    prediction = Prediction(
        index=0, score=2.0, probability=0.5, heads={"a": 1.0}, evidence={"a": 1.0}, verdict="normal"
    )
    image = traffic.Known("x.png", b"", prediction)
    return traffic.Judge(), traffic.Ask("single", "", "", (b"",), (image,))


def answer(**changes):
    told = {"name": "x.png", "score": 2.0, "probability": 0.5, "verdict": "normal"}
    return json.dumps(
        {"images": [{**told, "heads": {"a": 1.0}, "evidence": {"a": 1.0}, **changes}]}
    )


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (500, {}),
        (503, {}),
        (422, {}),
        (429, {}),  # without Retry-After
        (200, {"score": 2.001}),
        (200, {"score": float("nan")}),
        (200, {"heads": {"a": 1.01}}),
        (200, {"name": "y.png"}),
        (200, {"verdict": "anomalous"}),
        (200, {"why": []}),
    ],
)
def test_a_wrong_answer_is_noticed(asked, status, changes):
    judge, ask = asked
    assert judge.faults(ask, status, {}, answer(**changes).encode())


def test_a_right_answer_and_a_refusal_are_none(asked):
    judge, ask = asked
    assert judge.faults(ask, 200, {}, answer(score=2.00001).encode()) == []
    assert judge.largest == pytest.approx(5e-6)
    assert judge.faults(ask, 429, {"retry-after": "2"}, b"") == []
    bad = replace(ask, images=(replace(ask.images[0], prediction=None),))
    assert judge.faults(bad, 422, {}, b'{"images": [{"name": "x.png", "error": "no"}]}') == []
    assert judge.faults(bad, 200, {}, answer().encode())


def test_growing_memory_is_noticed():
    load = module("load")
    for growth, wrong in ((0.0, False), (0.5, True)):
        faults = []
        load.memory_figures([(float(n), 300 + growth * n) for n in range(200)], faults)
        assert bool(faults) == wrong
