"""timm networks with their classifiers, saved as state dicts."""

import timm
import torch
from safetensors.torch import save_file


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
