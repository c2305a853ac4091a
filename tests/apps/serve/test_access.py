"""Who may ask."""

import pytest
from fakes import FakeScorer, png
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.errors import ConfigurationError
from ahl.apps.serve.gate import is_own, may_ask
from ahl.apps.serve.settings import Settings, is_loopback, read_token

TOKEN = "0123456789abcdef-secret"
TOKEN_SETTINGS = {"token": TOKEN, "host": "0.0.0.0"}


def token_file(folder, content=TOKEN, mode=0o600):
    path = folder / "token"
    path.write_text(content)
    path.chmod(mode)
    return path


def test_a_token_file(tmp_path):
    assert read_token(token_file(tmp_path, f"  {TOKEN}\n")) == TOKEN


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (TOKEN, 0o644, "chmod 600"),
        (TOKEN, 0o620, "chmod 600"),
        ("\n", 0o600, "is empty"),
        ("short", 0o600, "at least 16"),
        ("two words of sixteen", 0o600, "more than one word"),
        ("ünicode-of-sixteen-letters", 0o600, "more than one word"),
        ("x" * 5000, 0o600, "more than one word"),
    ],
)
def test_token_files_that_are_refused(tmp_path, content, mode, words):
    with pytest.raises(ConfigurationError, match=words):
        read_token(token_file(tmp_path, content, mode))


def test_token_files_that_are_none(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigurationError, match="token file"):
            read_token(path)


def test_only_this_machine_goes_without_a_token(tmp_path):
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        assert is_loopback(host)
        Settings(model=tmp_path, host=host)
    for host in ("0.0.0.0", "::", "", "192.168.0.7", "example.org", "localhost.example.org"):
        assert not is_loopback(host)
        with pytest.raises(ConfigurationError, match="--token-file"):
            Settings(model=tmp_path, host=host)
        assert TOKEN not in repr(Settings(model=tmp_path, host=host, token=TOKEN))


@given(st.text())
def test_no_other_word_opens(shown):
    assert may_ask(TOKEN, f"Bearer {shown}") == (shown.strip() == TOKEN)
    assert not may_ask(TOKEN, f"Basic {TOKEN}")
    assert may_ask(TOKEN, f"bearer {TOKEN}")
    assert not may_ask(TOKEN, None)
    assert may_ask(None, None)


def test_the_service_asks_for_the_token(serve):
    scorer = FakeScorer()
    client = serve(scorer, settings=TOKEN_SETTINGS)
    for path in (
        "/v1/model",
        "/metrics",
        "/v1/score",
        "/v1/feedback?label=good",
        "/v1/unknown",
        "/x",
    ):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}):
            answer = client.post(path, content=png(), headers=headers)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert not scorer.batches
    for path in (
        "/",
        "/static/main.js",
        "/healthz",
        "/readyz",
        "/docs",
        "/openapi.json",
        "/static/docs.js",
    ):
        assert client.get(path).status_code == 200
    shown = {"authorization": f"Bearer {TOKEN}"}
    assert client.get("/v1/model", headers=shown).status_code == 200
    scored = client.post("/v1/score", content=png(), headers={**shown, "content-type": "image/png"})
    assert scored.status_code == 200


def test_pages_of_other_sites_are_refused(serve):
    client = serve(FakeScorer())
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"host": "rebound.example"},
        {"host": "["},
        {"host": "rebound.example", "origin": "http://rebound.example"},
    ):
        answer = client.get("/v1/model", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "foreign_origin")
    for headers in (
        {"host": "localhost:8000", "origin": "http://localhost:8000"},
        {"host": "[::1]:8000"},
    ):
        assert client.get("/v1/model", headers=headers).status_code == 200
    named = serve(FakeScorer(), settings={"names": ("line3.example",)})
    assert named.get("/v1/model", headers={"host": "line3.example"}).status_code == 200
    assert is_own("any.example", "https://any.example", token=TOKEN)
    assert not is_own("any.example", "https://other.example", token=TOKEN)


@pytest.mark.parametrize("prefix", ["", "/parts/one"], ids=["taken away", "passed on"])
def test_a_proxy_shows_the_service_under_a_path(serve, prefix):
    client = serve(FakeScorer(), settings={**TOKEN_SETTINGS, "root_path": "/parts/one"})
    for path in ("/", "/static/main.js", "/healthz", "/openapi.json"):
        assert client.get(prefix + path).status_code == 200
    servers = client.get(f"{prefix}/openapi.json").json()["servers"]
    assert servers == [{"url": "/parts/one"}]
    assert client.get(f"{prefix}/v1/model").status_code == 401
    shown = {"authorization": f"Bearer {TOKEN}"}
    assert client.get(f"{prefix}/v1/model", headers=shown).status_code == 200
    assert client.get("/parts/two/healthz", headers=shown).status_code == 404
    assert 'route="/v1/model"' in client.get(f"{prefix}/metrics", headers=shown).text


@pytest.mark.parametrize("path", ["parts", "/parts/", "/", "/a b", "/a?b", "//evil.example"])
def test_root_paths_that_are_none(path, tmp_path):
    with pytest.raises(ConfigurationError, match="--root-path"):
        Settings(model=tmp_path, root_path=path)
