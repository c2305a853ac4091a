"""The hub: asked once and only where it must be; what is wrong is one sentence at once."""

import http.server
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from huggingface_hub import constants

from ahl._common.errors import WeightsError
from ahl.features.backbones import TimmBackbone


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers for one file as the hub does; counts its requests."""

    content = b""
    requests: list[str]

    def do_HEAD(self):
        self.do_GET(body=False)

    def do_GET(self, *, body=True):
        type(self).requests.append(f"{self.command} {self.path}")
        known = self.path.endswith("/timm/resnet18.a1_in1k/resolve/main/model.safetensors")
        content = self.content if known else b""
        self.send_response(200 if known else 503)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", '"0123456789abcdef"')
        self.send_header("X-Repo-Commit", "c" * 40)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@contextmanager
def hub_at(endpoint, folder, monkeypatch):
    """The hub's client, asking `endpoint`, with an empty cache."""
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield


@pytest.fixture
def hub(tmp_path, monkeypatch, resnet_weights):
    handler = type("ThisHub", (Hub,), {"content": resnet_weights.read_bytes(), "requests": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    with hub_at(f"http://127.0.0.1:{server.server_port}", tmp_path, monkeypatch):
        yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_downloaded_once_then_taken_from_the_cache(hub, resnet_weights, capfd):
    backbone = TimmBackbone.load("resnet18")
    assert backbone.describe() == TimmBackbone.load("resnet18", weights=resnet_weights).describe()
    assert any(line.startswith("GET") for line in hub.requests)
    hub.requests.clear()
    assert TimmBackbone.load("resnet18").describe() == backbone.describe()
    assert not hub.requests
    assert capfd.readouterr().err == ""


def test_weights_given_or_stored_reach_no_network(hub, resnet_weights):
    backbone = TimmBackbone.load("resnet18", weights=resnet_weights)
    TimmBackbone.rebuild(backbone.settings(), backbone.tensors())
    assert not hub.requests


def test_a_damaged_download_is_told(hub, capfd):
    hub.content = hub.content[:1000]
    with pytest.raises(WeightsError, match=r"do not fit .*delete .*damaged"):
        TimmBackbone.load("resnet18")
    assert capfd.readouterr().err == ""


def test_arguments_that_the_pretrained_weights_do_not_fit(hub):
    with pytest.raises(WeightsError, match=r"do not fit .*Leave out --backbone-arg"):
        TimmBackbone.load("resnet18", arguments={"stem_width": 16, "stem_type": "deep"})


def test_a_hub_in_trouble_is_told_at_once(hub, capfd):
    with pytest.raises(WeightsError, match=r"cannot be downloaded .*Run once where"):
        TimmBackbone.load("resnet34")
    assert len(hub.requests) == 1, "not asked again and again"
    assert capfd.readouterr().err == ""


def test_models_without_weights_on_the_hub(hub):
    with pytest.raises(WeightsError, match=r"no safetensors weights .*--weights FILE"):
        TimmBackbone.load("legacy_seresnet18")
    assert not hub.requests


def test_unreachable_hub_is_one_sentence_at_once(tmp_path):
    """The real client in a process of its own: a closed port, then the offline switch."""
    program = (
        "from ahl.features.backbones import TimmBackbone\n"
        "from ahl._common.errors import WeightsError\n"
        "from huggingface_hub import constants\n"
        "import timm\n"
        "for constants.HF_HUB_OFFLINE in (False, True):\n"
        "    try: TimmBackbone.load('resnet18')\n"
        "    except WeightsError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,  # against hanging
        env={
            **os.environ,
            "HF_ENDPOINT": f"http://127.0.0.1:{closed_port()}",
            "HF_HOME": str(tmp_path),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "0",
        },
    )
    messages = done.stdout.splitlines()
    assert len(messages) == 2
    for message, cause in zip(messages, ("ConnectError", "OfflineModeIsEnabled"), strict=True):
        assert message.startswith("The pretrained weights of resnet18 cannot be downloaded")
        assert f"({cause})" in message
        assert all(way in message for way in ("--weights FILE", "--backbone efficientnet-lite0"))
    assert done.stderr == ""
