"""timm networks: right weights in the right places, nothing else let in, no network by surprise."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from ahl.backbones import TimmBackbone
from ahl.errors import ConfigurationError, WeightsError


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Any connection but to this machine is a failure of the test."""
    connect = socket.socket.connect

    def guarded(self, address):
        assert address[0] in ("127.0.0.1", "localhost"), f"reached out to {address}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def save_whole_network(path, name, seed=0, **arguments):
    """A timm network with its classifier and lively batch norms, saved as a state dict."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = timm.create_model(name, **arguments).eval()
        for key, value in network.state_dict().items():
            if key.endswith(("running_mean", "running_var")):
                value.uniform_(0.5, 1.5)
    save_file(network.state_dict(), path)
    return network


@pytest.fixture(scope="module")
def resnet_weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_whole_network(path, "resnet18")
    return path


# Index of the intermediate map that each of the default stages is.
NETWORKS = {
    "resnet18": ({}, (2, 3, 4)),
    "mobilenetv2_100": ({"pad_type": "same"}, (2, 3, 4)),
    "efficientnet_b0": ({}, (2, 3, 4)),
    "convnext_tiny": ({}, (1, 2, 3)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_features_are_the_maps_of_the_whole_network(name, tmp_path):
    arguments, stages = NETWORKS[name]
    path = tmp_path / "weights.safetensors"
    network = save_whole_network(path, name, **arguments)
    backbone = TimmBackbone.load(name, weights=path, arguments=arguments)
    assert backbone.stages == stages, "the last three"
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        normalised = (images - torch.tensor(backbone.mean).view(3, 1, 1)) / torch.tensor(
            backbone.std
        ).view(3, 1, 1)
        maps = network.forward_intermediates(normalised, intermediates_only=True)
        expected = [maps[stage] for stage in stages]
        found = backbone(images).split([each.shape[1] for each in expected], dim=1)
    assert found[-1].shape == expected[-1].shape == (2, expected[-1].shape[1], 2, 3)
    for mine, theirs in zip(found, expected, strict=True):
        side = theirs.shape[-1] // 3
        pooled = torch.nn.functional.avg_pool2d(theirs, side)
        torch.testing.assert_close(mine, pooled, rtol=1e-3, atol=1e-4 * pooled.abs().max().item())


def test_stages_can_be_chosen(resnet_weights):
    backbone = TimmBackbone.load("resnet18", weights=resnet_weights, stages=(1, 3))
    assert backbone(torch.zeros(1, 3, 64, 64)).shape == (1, 64 + 256, 4, 4)
    # Layer 4 is not needed, so it is neither built nor kept.
    assert not any("layer4" in key for key in backbone.tensors())


@pytest.mark.parametrize("stages", [(5,), (-1,), (), (2, 2), (3, 2), (1.0,), (True,), ("2",)])
def test_other_stages_are_refused_with_the_ones_there_are(stages):
    with pytest.raises(ConfigurationError, match=r"0 to 4: .* strides 2, 4, 8, 16, 32"):
        TimmBackbone(name="resnet18", stages=stages)


# ---- what may be asked of timm


@pytest.mark.parametrize(
    "name",
    ["hf-hub:evil/x", "hf_hub:evil/x", "local-dir:/tmp/x", "evil/x", "/etc/passwd", "../resnet18",
     "C:\\x", "", "resnet18\n", "resnet18.", "resnet18@main", 5, None],
)  # fmt: skip
def test_addresses_and_paths_are_no_names(name):
    with pytest.raises(ConfigurationError, match="not the name of a timm model"):
        TimmBackbone(name=name)


def test_unknown_names_are_refused_with_close_ones():
    with pytest.raises(ConfigurationError, match=r"Did you mean .*mobilenetv2_"):
        TimmBackbone(name="mobilenetv2")
    with pytest.raises(ConfigurationError, match=r"of this model it has: .*resnet18\.a1_in1k"):
        TimmBackbone(name="resnet18.mine")


SMUGGLED = {
    "pretrained": True,
    "pretrained_cfg": "x",
    "pretrained_cfg_overlay": "x",
    "checkpoint_path": "x",
    "cache_dir": "x",
    "features_only": False,
    "feature_cls": "x",
    "out_indices": [1],
    "in_chans": 1,
    "scriptable": True,
    "not a word": 1,
    "width": {"a": 1},
    "act_layer": "hf-hub:evil",
    "norm_layer": "a/b",
    "depth": 10**9,
    "scale": float("nan"),
    "layers": [2000, 2000],
    "nested": [[1]],
}


@pytest.mark.parametrize("key", SMUGGLED)
def test_arguments_cannot_smuggle(key, resnet_weights):
    arguments = {key: SMUGGLED[key]}
    with pytest.raises(ConfigurationError, match="argument"):
        TimmBackbone(name="resnet18", arguments=arguments)
    rebuilt = {**TimmBackbone(name="resnet18").settings(), "arguments": arguments}
    with pytest.raises(WeightsError, match="cannot be rebuilt"):
        TimmBackbone.rebuild(rebuilt, load_file(resnet_weights))


def test_arguments_that_timm_does_not_take_are_named():
    with pytest.raises(ConfigurationError, match=r"resnet18 with .*pad_type.*--backbone-arg"):
        TimmBackbone(name="resnet18", arguments={"pad_type": "same"})


def test_settings_cannot_exhaust_the_memory():
    settings = TimmBackbone(name="resnet18").settings()
    settings["arguments"] = {"base_width": 2048, "block": "x", "width": 1.0}
    with pytest.raises(WeightsError):
        TimmBackbone.rebuild(settings, {})
    with pytest.raises(ConfigurationError, match="too large"):
        TimmBackbone(name="vit_tiny_patch16_224", arguments={"embed_dim": 2048, "depth": 48,
                                                              "num_heads": 2})  # fmt: skip


def test_networks_for_one_size_only_are_refused():
    with pytest.raises(ConfigurationError, match=r"any size.*dynamic_img_size=True"):
        TimmBackbone(name="vit_tiny_patch16_224")
    backbone = TimmBackbone(
        name="vit_tiny_patch16_224",
        arguments={"dynamic_img_size": True, "dynamic_img_pad": True},
        stages=(11,),
    )
    assert backbone(torch.zeros(1, 3, 112, 112)).shape == (1, 192, 7, 7)


# ---- normalisation


@pytest.mark.parametrize(
    ("name", "arguments", "local", "mean"),
    [
        ("resnet18", {}, True, (0.485, 0.456, 0.406)),
        ("mobilenetv2_100", {}, True, (0.485, 0.456, 0.406)),
        ("mobilenetv2_100", {"pad_type": "same"}, True, (0.5, 0.5, 0.5)),
        # Downloaded, these weights are timm's own, whatever the padding.
        ("mobilenetv2_100", {"pad_type": "same"}, False, (0.485, 0.456, 0.406)),
        ("tf_efficientnet_b0.ap_in1k", {}, True, (0.5, 0.5, 0.5)),
        ("tf_efficientnet_b0.ns_jft_in1k", {"pad_type": "same"}, True, (0.485, 0.456, 0.406)),
    ],
)
def test_mean_is_that_of_the_weights(name, arguments, local, mean, monkeypatch, tmp_path):
    monkeypatch.setattr("ahl.backbones.pretrained.fetch_weights", lambda name: path)
    path = tmp_path / "weights.safetensors"
    save_whole_network(path, name, **arguments)
    backbone = TimmBackbone.load(name, weights=path if local else None, arguments=arguments)
    assert backbone.mean == mean
    assert backbone.settings()["mean"] == list(mean)


@pytest.mark.parametrize("value", [0.25, "0.25", "0.25,0.25,0.25", [0.25] * 3, (0.25,) * 3])
def test_mean_and_std_can_be_given(value, resnet_weights):
    arguments = {"mean": value, "std": value}
    backbone = TimmBackbone.load("resnet18", weights=resnet_weights, arguments=arguments)
    assert backbone.mean == backbone.std == (0.25, 0.25, 0.25)
    assert backbone.arguments == {}


def test_mean_zero_is_a_mean(resnet_weights):
    backbone = TimmBackbone.load("resnet18", weights=resnet_weights, arguments={"mean": 0})
    assert backbone.mean == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "arguments",
    [{"mean": "a"}, {"mean": [1, 2]}, {"std": 0}, {"std": -1}, {"mean": float("inf")}, {"std": {}}],
)
def test_impossible_mean_and_std_are_refused(arguments, resnet_weights):
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        TimmBackbone.load("resnet18", weights=resnet_weights, arguments=arguments)


# ---- local weights


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights file .*nowhere"):
        TimmBackbone.load(weights=tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a pickle", b"\xff" * 64])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        TimmBackbone.load(weights=path)
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        TimmBackbone.load(weights=tmp_path)


def test_weights_of_another_network_are_refused(resnet_weights, tmp_path):
    with pytest.raises(WeightsError, match=r"lacks \d+ of the .*timm name"):
        TimmBackbone.load("resnet34", weights=resnet_weights)
    narrow = {**load_file(resnet_weights), "conv1.weight": torch.zeros(32, 3, 7, 7)}
    save_file(narrow, tmp_path / "narrow.safetensors")
    with pytest.raises(WeightsError, match=r"conv1\.weight has shape \(32, .*timm name"):
        TimmBackbone.load(weights=tmp_path / "narrow.safetensors")


def test_half_precision_weights_serve_but_not_broken_ones(resnet_weights, tmp_path):
    state = load_file(resnet_weights)
    path = tmp_path / "weights.safetensors"
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    save_file(half, path)
    backbone = TimmBackbone.load(weights=path)
    assert torch.equal(backbone.tensors()["network.conv1.weight"], half["conv1.weight"].float())

    for broken in (
        torch.full_like(state["conv1.weight"], float("nan")),
        torch.ones(64, 3, 7, 7).int(),
    ):
        save_file({**state, "conv1.weight": broken}, path)
        with pytest.raises(WeightsError, match=r"conv1\.weight"):
            TimmBackbone.load(weights=path)


def test_without_classifier_and_counters_it_fits(resnet_weights, tmp_path):
    state = load_file(resnet_weights)
    path = tmp_path / "weights.safetensors"
    kept = {k: v for k, v in state.items() if not k.startswith("fc") and "num_batches" not in k}
    save_file(kept, path)
    whole = TimmBackbone.load(weights=resnet_weights)
    assert TimmBackbone.load(weights=path).describe() == whole.describe()


# ---- the hub


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
    backbone = TimmBackbone.load()
    assert backbone.describe() == TimmBackbone.load(weights=resnet_weights).describe()
    assert any(line.startswith("GET") for line in hub.requests)
    hub.requests.clear()
    assert TimmBackbone.load().describe() == backbone.describe()
    assert not hub.requests
    assert capfd.readouterr().err == ""


def test_weights_given_or_stored_reach_no_network(hub, resnet_weights):
    backbone = TimmBackbone.load(weights=resnet_weights)
    TimmBackbone.rebuild(backbone.settings(), backbone.tensors())
    assert not hub.requests


def test_a_damaged_download_is_told(hub, capfd):
    hub.content = hub.content[:1000]
    with pytest.raises(WeightsError, match=r"do not fit .*delete .*damaged"):
        TimmBackbone.load()
    assert capfd.readouterr().err == ""


def test_arguments_that_the_pretrained_weights_do_not_fit(hub):
    with pytest.raises(WeightsError, match=r"do not fit .*Leave out --backbone-arg"):
        TimmBackbone.load(arguments={"stem_width": 16, "stem_type": "deep"})


def test_a_hub_in_trouble_is_told_at_once(hub, capfd):
    started = time.monotonic()
    with pytest.raises(WeightsError, match=r"cannot be downloaded .*Ways out"):
        TimmBackbone.load("resnet34")
    assert time.monotonic() - started < 10
    assert capfd.readouterr().err == ""


def test_models_without_weights_on_the_hub(hub):
    with pytest.raises(WeightsError, match=r"no safetensors weights .*--weights FILE"):
        TimmBackbone.load("legacy_seresnet18")
    assert not hub.requests


def test_unreachable_hub_is_one_sentence_at_once(tmp_path):
    """The real client in a process of its own: a closed port, then the offline switch."""
    program = (
        "import sys, time\n"
        "from ahl.backbones import TimmBackbone\n"
        "from ahl.errors import WeightsError\n"
        "import timm\n"
        "started = time.monotonic()\n"
        "try: TimmBackbone.load()\n"
        "except WeightsError as error: print(time.monotonic() - started); print(error)\n"
    )
    for switch in ({"HF_HUB_OFFLINE": "0"}, {"HF_HUB_OFFLINE": "1"}):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={
                **os.environ,
                "HF_ENDPOINT": f"http://127.0.0.1:{closed_port()}",
                "HF_HOME": str(tmp_path),
                "OMP_NUM_THREADS": "1",
                **switch,
            },
        )
        seconds, message = done.stdout.splitlines()
        assert float(seconds) < 10
        assert message.startswith("The pretrained weights of resnet18 cannot be downloaded")
        assert all(way in message for way in ("--weights FILE", "--backbone embedded"))
        assert done.stderr == ""


def test_settings_are_json(resnet_weights):
    arguments = {"act_layer": "silu", "layers": (2, 2, 2, 2), "drop_rate": 0.0}
    backbone = TimmBackbone.load(weights=resnet_weights, arguments=arguments)
    settings = json.loads(json.dumps(backbone.settings()))
    assert settings["arguments"] == {"act_layer": "silu", "layers": [2, 2, 2, 2], "drop_rate": 0.0}
    assert TimmBackbone.rebuild(settings, backbone.tensors()).describe() == backbone.describe()
