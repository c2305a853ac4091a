"""Batch renormalisation."""

import torch
from torch import nn

from ahl.pretrain.renorm import MOMENTUM, BatchRenorm, renormalise


def settled(freedom):
    norm = BatchRenorm(3)
    norm.running_mean.copy_(torch.tensor([0.1, -0.2, 0.4]))
    norm.running_var.copy_(torch.tensor([0.9, 1.3, 0.8]))
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.5, 0.5, 1.0]))
        norm.bias.copy_(torch.tensor([0.0, 1.0, -1.0]))
    norm.freedom = freedom
    return norm


def some_maps():
    return torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))


def test_without_freedom_it_is_batch_norm():
    plain = nn.BatchNorm2d(3)
    norm = settled(0.0)
    plain.load_state_dict(norm.state_dict())
    torch.testing.assert_close(norm(some_maps()), plain.train()(some_maps()))


def test_with_freedom_training_gives_what_use_gives():
    norm = settled(1.0)
    used = settled(1.0).eval()(some_maps())
    torch.testing.assert_close(norm(some_maps()), used)


def test_running_statistics_move_towards_the_batch():
    norm, before = settled(1.0), settled(1.0).running_mean
    norm(some_maps())
    mean = some_maps().mean(dim=(0, 2, 3))
    torch.testing.assert_close(norm.running_mean, (1 - MOMENTUM) * before + MOMENTUM * mean)


def test_gradients_go_through_the_batchs_statistics():
    maps = some_maps().requires_grad_()
    # A shift of all values changes nothing that batch statistics do not take away again.
    settled(1.0)(maps)[:, 0].pow(2).sum().backward()
    torch.testing.assert_close(maps.grad[:, 0].sum(), torch.tensor(0.0), atol=1e-4, rtol=0)


def test_a_network_keeps_its_tensors_and_its_use():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4)))
    network(some_maps())
    network.eval()
    before, state = network(some_maps()), dict(network.state_dict())
    placed = renormalise(network)
    assert len(placed) == 2
    assert network.state_dict().keys() == state.keys()
    torch.testing.assert_close(network(some_maps()), before)
