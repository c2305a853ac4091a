"""Nothing that a client sends is a fault of the service, and none of it is taken without bounds."""

import resource
import struct
import zlib

import pytest
from fakes import FakeScorer, form, png
from hypothesis import given, settings
from hypothesis import strategies as st

from ahl._common.errors import ConfigurationError
from ahl.apps.serve.connections import allow_descriptors
from ahl.apps.serve.settings import Limits

PNG = {"content-type": "image/png"}
SMALL = {"image_bytes": 2000, "request_bytes": 5000, "waiting_bytes": 20_000, "images": 3}


def code(answer):
    return answer.status_code, answer.json()["error"]["code"]


def bomb(width, height):
    """A PNG whose header promises more pixels than its few bytes hold."""
    data = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"IDAT" + zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (data, rows, b"IEND")
    )


def test_sizes(serve):
    scorer = FakeScorer()
    client = serve(scorer, **SMALL)
    large = png() + bytes(2000)
    assert code(client.post("/v1/score", content=large, headers=PNG)) == (413, "too_large")
    assert code(client.post("/v1/score", content=bytes(5001), headers=PNG)) == (413, "too_large")
    assert code(client.post("/v1/score", files=form(("a", large)))) == (413, "too_large")
    four = form(*[(str(i), png()) for i in range(4)])
    assert code(client.post("/v1/score", files=four)) == (413, "too_large")
    assert not scorer.batches
    assert client.post("/v1/score", files=four[:3]).status_code == 200


def test_a_body_without_a_length_is_counted_as_it_comes(serve):
    client = serve(FakeScorer(), **SMALL)
    sent = []

    def endless():
        while len(sent) < 1000:
            sent.append(1)
            yield bytes(1000)

    answer = client.post("/v1/score", content=endless(), headers=PNG)
    assert code(answer) == (413, "too_large")
    chunks = (part for part in (png()[:30], png()[30:]))
    assert client.post("/v1/score", content=chunks, headers=PNG).status_code == 200


@pytest.mark.parametrize("length", ["-1", "1e3", "", "9" * 30, "٣"])
def test_lengths_that_are_none(serve, length):
    headers = {**PNG, "content-length": length.encode("utf-8")}
    answer = serve(FakeScorer()).post("/v1/score", content=png(), headers=headers)
    assert answer.status_code in (400, 413)


def test_image_bombs_are_refused_by_their_header(serve):
    client = serve(FakeScorer(), pixels=10_000)
    files = form(("bomb", bomb(60_000, 60_000)), ("large", png(size=(101, 100))), ("ok", png()))
    told = client.post("/v1/score", files=files).json()["images"]
    assert "3600000000" in told[0]["error"].replace(",", "") or "pixels" in told[0]["error"]
    assert "10,000 allowed" in told[1]["error"]
    assert "score" in told[2]


@given(data=st.data())
@settings(max_examples=60)
def test_damaged_forms_are_never_a_fault(form_client, data):
    parts = data.draw(
        st.lists(
            st.sampled_from(
                [
                    b"--b",
                    b"--b--",
                    b"\r\n",
                    b"\r\n\r\n",
                    b"Content-Disposition: form-data",
                    b'; name="a"',
                    b'; filename="x.png"',
                    b"Content-Type: image/png",
                    b"Content-Transfer-Encoding: base64",
                    b"\xff\xfe",
                    png(),
                ]
            )
            | st.binary(max_size=20),
            max_size=14,
        )
    )
    boundary = data.draw(st.sampled_from(["; boundary=b", '; boundary="b"', "", "; boundary="]))
    charsets = ["", "; charset=utf-16", "; charset=nonsense", "; charset=undefined"]
    charset = data.draw(st.sampled_from(charsets))
    headers = {"content-type": f"multipart/form-data{boundary}{charset}"}
    answer = form_client.post("/v1/score", content=b"".join(parts), headers=headers)
    assert answer.status_code in (200, 400, 413, 422), answer.text


@pytest.fixture(scope="module")
def form_client(tmp_path_factory):
    from starlette.testclient import TestClient

    from ahl.apps.serve.app import create_app
    from ahl.apps.serve.settings import Settings

    app = create_app([FakeScorer()], Settings(model=tmp_path_factory.mktemp("x") / "m"))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def test_a_form_that_breaks_off_is_not_taken_for_a_whole_one(serve):
    client = serve(FakeScorer())
    body = b'--b\r\nContent-Disposition: form-data; name="a"; filename="a.png"\r\n\r\n' + png()
    headers = {"content-type": "multipart/form-data; boundary=b"}
    whole = client.post("/v1/score", content=body + b"\r\n--b--\r\n", headers=headers)
    assert whole.status_code == 200
    for cut in (body, body[:-9], body + b"\r\n--b\r\n"):
        answer = client.post("/v1/score", content=cut, headers=headers)
        assert code(answer) == (400, "bad_form")


@pytest.mark.parametrize(
    ("charset", "status"), [("undefined", 400), ("unicode_escape", 200), ("nonsense", 200)]
)
def test_a_charset_that_nobody_means_is_no_fault(serve, charset, status):
    """Some codecs raise, and some make names that are not valid UTF-8."""
    part = b'--b\r\nContent-Disposition: form-data; name="a"; filename="\\ud800.png"\r\n\r\n'
    headers = {"content-type": f"multipart/form-data; boundary=b; charset={charset}"}
    body = part + png() + b"\r\n--b--\r\n"
    answer = serve(FakeScorer()).post("/v1/score", content=body, headers=headers)
    assert answer.status_code == status


def test_large_files_of_a_form_are_not_written_to_the_disk(serve, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    files = form(("a.png", png() + bytes(3 * 2**20)))
    assert serve(FakeScorer()).post("/v1/score", files=files).status_code == 200


def test_limits_that_cannot_be():
    for wrong in (
        {"images": 0},
        {"seconds": 0.0},
        {"pixels": 10**9},
        {"images": 300},
        {"request_bytes": 2**30},
    ):
        with pytest.raises(ConfigurationError):
            Limits(**wrong)


def test_the_connections_have_descriptors(monkeypatch):
    allowed = [(256, 1200)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: allowed[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: allowed.append(limits))
    allow_descriptors(100)
    assert allowed == [(256, 1200), (1124, 1200)]
    with pytest.raises(ConfigurationError, match=r"1,200 are allowed; .* fewer --max-connections"):
        allow_descriptors(200)
    allow_descriptors(10)
    assert len(allowed) == 2
