"""Every test of backbones: one torch thread, no network by surprise. And weights, read only."""

import socket

import pytest
import torch

from features.backbones.whole_networks import save_whole_network


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


@pytest.fixture(scope="session")
def resnet_weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_whole_network(path, "resnet18")
    return path
