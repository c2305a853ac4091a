"""docs/serve.md, and the page that the service draws of itself, tell what there is."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from fakes import FakeScorer, png
from running import FAKE, running

from ahl.apps.cli.serve import serve as verb
from ahl.data.images.formats import FORMATS

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "serve.md").read_text().replace("\\\n    ", "")

HTML = "text/html; charset=utf-8"
KINDS = {
    ".html": HTML,
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
FILES = {
    "/": HTML,
    "/docs": HTML,
    **{
        f"/static/{path.name}": KINDS[path.suffix]
        for path in (ROOT / "src" / "ahl" / "apps" / "serve" / "static").iterdir()
    },
}
"""Addresses of the pages, with their content type."""


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_examples_work(tmp_path):
    blocks = re.findall(r"^```bash\n(.*?)^```", DOCUMENT, flags=re.S | re.M)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("curl")]
    assert len(lines) >= 5
    for name in ("m", "new.png", "other.png", "token"):
        (tmp_path / name).write_bytes(png() if name.endswith("png") else b"")
    options = ("--feedback-dir", str(tmp_path / "marks"))
    with running(tmp_path / "m", tmp_path / "log", *options, command=(FAKE,)) as service:
        for line in lines:
            there = line.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")
            assert there != line
            asked = there.replace("curl ", "curl --fail --silent --show-error ", 1)
            result = subprocess.run(
                ["sh", "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=False
            )
            assert result.returncode == 0, (line, result.stderr)
            scored = any(part in line for part in ("/v1/score", "metrics", "/v1/feedback?"))
            assert ("score" in result.stdout) == scored, line


def test_all_options_are_documented():
    options = {name for parameter in verb.params for name in parameter.opts if name[:2] == "--"}
    missing = [name for name in options if f"`{name}" not in DOCUMENT]
    assert not missing


def test_all_metrics_and_codes_are_documented(serve):
    from ahl.apps.serve.answers import RESPONSES

    client = serve(FakeScorer())
    for name in re.findall(r"^# TYPE (\S+)", client.get("/metrics").text, flags=re.M):
        assert f"`{name}`" in DOCUMENT
    sources = (ROOT / "src" / "ahl" / "apps" / "serve").glob("*.py")
    text = "\n".join(path.read_text() for path in sources)
    codes = set(re.findall(r'RefusedError\(\s*\d+,\s*"(\w+)"', text))
    assert len(codes) > 10
    assert not [code for code in codes if f"`{code}`" not in DOCUMENT]
    assert not [status for status in RESPONSES if f"| {status}" not in DOCUMENT]


def test_the_page_loads_nothing_from_elsewhere(serve):
    client = serve(FakeScorer())
    for address, kind in FILES.items():
        answer = client.get(address)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == kind
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        text = answer.text.replace("http://www.w3.org/2000/svg", "")  # a name, not fetched
        assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text)
        for name in re.findall(r'^import .* from "\./(.*)";$', text, flags=re.M):
            assert f"/static/{name}" in FILES, (address, name)
    for page in ("/docs", "/"):
        addresses = re.findall(r'(?:src|href)="([^#"]*)"', client.get(page).text)
        assert len(addresses) >= 3
        for address in {*addresses} - {"data:,"}:
            assert address[0] != "/", "the service may lie under a path of a site"
            assert client.get(f"/{address}").status_code == 200, address


def test_browsers_keep_the_page_and_ask_whether_it_changed(serve):
    client = serve(FakeScorer())
    for address in FILES:
        first = client.get(address)
        tag = first.headers["etag"]
        assert first.headers["cache-control"] == "no-cache"
        for known in (tag, f'"other", W/{tag}', "*"):
            again = client.get(address, headers={"if-none-match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
        assert client.get(address, headers={"if-none-match": '"other"'}).status_code == 200
    assert client.get("/v1/model").headers["cache-control"] == "no-store"


def test_openapi_tells_of_all_addresses(serve):
    told = serve(FakeScorer()).get("/openapi.json").json()
    paths = "/v1/score /v1/model /v1/feedback /metrics /healthz /readyz"
    assert set(told["paths"]) == set(paths.split())
    score = told["paths"]["/v1/score"]["post"]
    assert score["security"]
    assert {"image/*", "multipart/form-data"} == set(score["requestBody"]["content"])
    assert {"200", "413", "422", "429", "503"} <= set(score["responses"])
    for path in told["paths"]:
        assert f"{path}`" in DOCUMENT
    for line in re.findall(r"^curl .*$", DOCUMENT, flags=re.M):
        assert shlex.split(line)


def test_the_page_takes_every_format_of_a_dropped_folder():
    script = (ROOT / "src" / "ahl" / "apps" / "serve" / "static" / "scoring.js").read_text()
    likely = re.search(r"LIKELY = /(.*)/i;", script)[1]
    for suffix in (suffix for one in FORMATS for suffix in one.suffixes):
        assert re.search(likely, f"a{suffix}"), suffix
    assert not re.search(likely, "a.txt")
