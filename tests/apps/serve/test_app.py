"""What is answered."""

import base64
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from fakes import CARD, FakeScorer, form, png
from PIL import Image

from ahl.apps.serve.answers import Refused, Scores
from commands import run

PNG = {"content-type": "image/png"}


def test_one_image_as_it_is(serve):
    answer = serve(FakeScorer()).post("/v1/score?name=a.png", content=png(7), headers=PNG)
    assert answer.status_code == 200
    (one,) = Scores.model_validate(answer.json()).images
    assert (one.name, one.score, one.probability) == ("a.png", 7.0, 0.5)
    assert one.why is one.heat_map is one.nearest_normal is None
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_several_images_keep_their_order_and_a_bad_one_has_an_error(serve):
    files = form(("a", png(1)), ("bad", b"no image"), ("a", png(3)), ("b", png(2)))
    answer = serve(FakeScorer()).post("/v1/score", files=files)
    assert answer.status_code == 200
    told = answer.json()["images"]
    assert [one["name"] for one in told] == ["a", "bad", "a", "b"]
    assert [one.get("score") for one in told] == [1.0, None, 3.0, 2.0]
    assert set(told[1]) == {"name", "error"}
    assert "not a PNG" in told[1]["error"]


def test_no_image_that_can_be_read(serve):
    client = serve(FakeScorer())
    answer = client.post("/v1/score", files=form(("a", b"x"), ("b", b"")))
    assert answer.status_code == 422
    refused = Refused.model_validate(answer.json())
    assert refused.error.code == "unreadable"
    assert [one.name for one in refused.images] == ["a", "b"]


def test_reasons_pictures_and_heat_maps(serve):
    scorer = FakeScorer()
    client = serve(scorer)
    query = "/v1/score?why=1&pictures=1&heat_map=1"
    answer = client.post(query, content=png(9, size=(30, 20)), headers=PNG).json()
    (one,) = answer["images"]
    Scores.model_validate(answer)
    assert one["why"] == [["bright", 9.0]]
    assert one["nearest_normal"]["class"] == "good"
    assert one["where"] == "No place stands out."
    head = "data:image/png;base64,"
    for uri, size in ((one["heat_map"], (30, 20)), (one["nearest_normal"]["picture"], (8, 8))):
        assert uri.startswith(head)
        with Image.open(io.BytesIO(base64.b64decode(uri.removeprefix(head)))) as picture:
            assert picture.size == size
    raw = client.post("/v1/score?heat_map=raw", content=png(), headers=PNG).json()
    Scores.model_validate(raw)
    heat = raw["images"][0]["heat_map"]
    values = np.frombuffer(base64.b64decode(heat["data"]), dtype=heat["dtype"])
    assert (values.reshape(heat["shape"]) == 2.0).all()
    assert scorer.batches == [(1, True, True), (1, True, False)]


def test_arrays_are_read_by_their_name(serve):
    file = io.BytesIO()
    np.save(file, np.full((9, 9, 3), 50, dtype=np.uint8))
    client = serve(FakeScorer())
    answer = client.post("/v1/score", files=form(("a.npy", file.getvalue())))
    assert answer.json()["images"][0]["score"] == 50.0
    cut = client.post("/v1/score", files=form(("a.npy", file.getvalue()[:-1])))
    assert "truncated" in cut.json()["images"][0]["error"]


def test_the_scores_are_those_of_the_command(serve, model, inspection_folder):
    good = inspection_folder / "good" / "000.png"
    images = [*sorted((inspection_folder / "dot").iterdir()), good]
    client = serve(model)
    files = [("images", (path.name, path.read_bytes())) for path in images]
    together = client.post("/v1/score?why=1", files=files).json()
    Scores.model_validate(together)
    for path, shared in zip(images, together["images"], strict=True):
        alone = client.post(f"/v1/score?why=1&name={path.name}", content=path.read_bytes())
        (told,) = alone.json()["images"]
        assert told.pop("name") == shared["name"] == path.name
        expected = json.loads(run("predict", model, path, "--why", "--json").stdout)
        assert expected.pop("path") == str(path)
        assert expected.pop("trained_on"), "of which the service says nothing"
        assert told == expected, "to the last digit"
        # Those that share a pass may differ in the last digits, as in the command.
        assert shared["score"] == pytest.approx(expected["score"], rel=1e-5)
        assert set(shared) == {"name", *expected}


def test_what_is_known_of_the_model(serve):
    assert serve(FakeScorer()).get("/v1/model").json() == json.loads(json.dumps(CARD.facts()))


def test_health_and_readiness(serve):
    scorer = FakeScorer()
    client = serve(scorer)
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").status_code == 200
    client.__exit__()
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503


def test_refusals_have_one_form(serve):
    client = serve(FakeScorer())
    for answer, status, code in (
        (client.get("/nope"), 404, "not_found"),
        (client.get("/v1/score"), 405, "bad_method"),
        (client.post("/v1/score?why=perhaps", content=png(), headers=PNG), 422, "bad_parameter"),
        (client.post("/v1/score?heat_map=2", content=png(), headers=PNG), 422, "bad_parameter"),
        (client.post("/v1/score"), 400, "no_image"),
        (client.post("/v1/score", json={}), 415, "unsupported_type"),
        (client.post("/v1/score", data={"a": "b"}), 422, "unreadable"),
    ):
        assert answer.status_code == status
        assert Refused.model_validate(answer.json()).error.code == code
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert f'ahl_refusals_total{{code="{code}"}}' in client.get("/metrics").text


def test_a_fault_of_the_engine_is_told_without_a_traceback(serve, caplog):
    client = serve(FakeScorer(fails=True))
    answer = client.post("/v1/score", content=png(), headers={**PNG, "X-Request-ID": "mine-1"})
    assert answer.status_code == 500
    assert answer.json() == {
        "error": {
            "code": "internal",
            "message": "The service failed; see its log for request mine-1.",
        },
        "request_id": "mine-1",
    }
    assert "a fault" in caplog.text
    assert client.get("/readyz").status_code == 200, "one bad batch is not the end"


def test_request_ids_that_are_no_plain_words_are_not_repeated(serve):
    client = serve(FakeScorer())
    for given in ("a b", "x" * 65, "<b>"):
        answer = client.get("/healthz", headers={"X-Request-ID": given})
        assert answer.headers["x-request-id"] != given


def test_serving_imports_no_torch():
    check = (
        "import sys, ahl.apps.serve.server, ahl.apps.cli.serve\n"
        "found = {'torch', 'timm', 'torchvision', 'matplotlib', 'scipy', 'sklearn'}\n"
        "assert not found & set(sys.modules), found & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def test_no_answer_repeats_a_host_that_somebody_made_up(serve):
    answer = serve(FakeScorer()).get("/v1/model/", follow_redirects=False)
    assert answer.status_code == 404
    assert "location" not in answer.headers
