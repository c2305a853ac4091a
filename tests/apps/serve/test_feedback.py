"""What people say of images is kept, and teaches the model."""

import json

import pytest
from fakes import FakeScorer, form, png
from PIL import Image

from ahl.apps.serve.answers import Answers, Kept, Refused
from ahl.pipeline.feedback.answers import LOG, read_answers
from commands import run
from small_images import small_image

GOOD, DOT = "/v1/feedback?label=good", "/v1/feedback?label=defect&kind=dot&name=a.png"


@pytest.fixture
def answered(serve, tmp_path):
    """A client, and the folder that its service fills."""

    def opened(scorer=None, **limits):
        settings = {"feedback_dir": tmp_path / "r", "max_feedback_bytes": 10_000}
        return serve(scorer or FakeScorer(), settings=settings, **limits), tmp_path / "r"

    return opened


def code(answer):
    return answer.status_code, Refused.model_validate(answer.json()).error.code


def test_a_mark_is_kept_with_what_the_model_says(answered):
    client, folder = answered()
    answer = client.post(DOT, content=png(30))
    assert answer.status_code == 200
    kept = Kept.model_validate(answer.json())
    assert (kept.class_name, kept.score, kept.outcome) == ("dot", 30.0, "missed")
    assert (folder / kept.file).read_bytes() == png(30)
    (answer,) = read_answers(folder)
    assert (answer.name, answer.model) == ("a.png", FakeScorer.card.sha256)
    as_form = client.post(GOOD, files=form(("b.png", png(40))))
    assert as_form.json()["outcome"] == "right"
    told = Answers.model_validate(client.get("/v1/feedback").json())
    assert (told.kept, told.missed, told.false_alarms, told.right) == (True, 1, 0, 1)
    assert told.classes == {"dot": 1, "good": 1}
    assert told.command == f"ahl update MODEL --feedback {folder}"  # there is no such file
    client.post(GOOD, content=png(30))
    assert client.get("/v1/feedback").json()["classes"] == {"good": 2}


def test_the_command_names_the_model_and_quotes(serve, tmp_path):
    (tmp_path / "m.ahl").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    client = serve(FakeScorer(), settings={"feedback_dir": tmp_path / "a b"})
    command = client.get("/v1/feedback").json()["command"]
    assert command == f"ahl update {tmp_path / 'm.ahl'} --feedback '{tmp_path / 'a b'}'"


def test_answers_that_are_refused(answered):
    client, folder = answered(image_bytes=2000, request_bytes=5000)
    elsewhere = {"origin": "http://e.x"}
    for answer, expected in (
        (client.post("/v1/feedback", content=png()), (422, "bad_parameter")),
        (client.post("/v1/feedback?label=bad", content=png()), (422, "bad_parameter")),
        (client.post("/v1/feedback?label=defect&kind=../x", content=png()), (422, "bad_kind")),
        (client.post("/v1/feedback?label=defect&kind=%2Fx", content=png()), (422, "bad_kind")),
        (client.post("/v1/feedback?label=defect&kind=good", content=png()), (422, "bad_kind")),
        (client.post(GOOD, content=b"no image"), (422, "unreadable")),
        (client.post(GOOD), (400, "no_image")),
        (client.post(GOOD, files=form(("a", png(1)), ("b", png(2)))), (400, "one_image")),
        (client.post(GOOD, content=bytes(2001)), (413, "too_large")),
        (
            client.post(GOOD, content=png(), headers=elsewhere),
            (403, "foreign_origin"),
        ),
    ):
        assert code(answer) == expected
    assert sorted(path.name for path in folder.rglob("*")) == [".lock", LOG]


def test_a_full_folder_and_a_broken_one(answered):
    client, folder = answered()
    answers = [client.post(GOOD, content=png(grey)) for grey in range(40)]
    assert [answer.status_code for answer in answers[:5]] == [200] * 5
    assert code(answers[-1]) == (507, "feedback_full")
    assert "--max-feedback-mib" in answers[-1].json()["error"]["message"]
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 20_000
    (folder / LOG).unlink()
    (folder / LOG).mkdir()
    for path in (folder / "good").iterdir():
        path.unlink()
    assert code(client.post(GOOD, content=png())) == (507, "feedback_failed")


def test_a_service_without_a_folder_keeps_nothing(serve):
    client = serve(FakeScorer())
    assert code(client.post(GOOD, content=png())) == (403, "no_feedback")
    assert client.get("/v1/feedback").json() == {"kept": False}


def test_what_is_answered_teaches_the_model(serve, model, tmp_path):
    """The whole circle: scored, answered, learnt, scored again."""
    faint = [tmp_path / f"{number}.png" for number in range(200, 206)]
    for path in faint:
        pixels = small_image("good", int(path.stem))
        pixels[16:32, 16:32] -= 40
        Image.fromarray(pixels).save(path)
    folder = tmp_path / "answers"
    client = serve(model, settings={"feedback_dir": folder})
    for path in faint:
        address = f"/v1/feedback?label=defect&kind=faint&name={path.name}"
        assert client.post(address, content=path.read_bytes()).status_code == 200
    missed = [answer for answer in read_answers(folder) if answer.outcome == "missed"]
    assert missed, "the model has to be wrong somewhere"
    before = {answer.name: answer.score for answer in missed}
    updated = tmp_path / "u.ahl"
    options = ("--feedback", folder, "--force", "--threads", 1)
    told = json.loads(run("update", model, *options, "-o", updated, "--json").stdout)
    assert len(told["corrected"]) == len(missed)
    assert {one["label"] for one in told["corrected"]} == {"defect"}
    assert "faint" in run("info", updated).stdout
    after = serve(updated)
    for path in faint:
        if path.name in before:
            (image,) = after.post("/v1/score", content=path.read_bytes()).json()["images"]
            assert image["score"] > before[path.name]
    again = run("update", updated, *options, code=1).stderr
    assert f"trained on {len(missed)}" in " ".join(again.split())
