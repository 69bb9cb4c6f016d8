"""A spiking network with all kinds of state that a criterion could change, and data that reaches all its layers."""

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn


def spiking() -> nn.Module:
    return neuron.LIFNode(surrogate_function=surrogate.ATan(), detach_reset=True, step_mode="m")


def labelled(seed: int, samples: int = 6) -> tuple[Tensor, Tensor]:
    """Images [T, B, 1, 6, 6] of 3 time steps, and labels [B]."""
    generator = torch.Generator().manual_seed(seed)
    images = 3 * torch.rand(3, samples, 1, 6, 6, generator=generator)
    return images, torch.randint(0, 3, (samples,), generator=generator)


@pytest.fixture
def batches() -> list[tuple[Tensor, Tensor]]:
    return [labelled(1), labelled(2)]


@pytest.fixture
def network() -> nn.Sequential:
    """Convolution, normalisation, dropout, a hidden layer with biases, three outputs; during a training."""
    torch.manual_seed(3)
    network = nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1, step_mode="m"),
        layer.BatchNorm2d(4, step_mode="m"),
        spiking(),
        layer.MaxPool2d(2, step_mode="m"),
        layer.Flatten(step_mode="m"),
        layer.Dropout(0.5, step_mode="m"),
        layer.Linear(36, 8, step_mode="m"),
        spiking(),
        layer.Linear(8, 3, bias=False, step_mode="m"),
        spiking(),
    )
    with torch.no_grad():
        for index in (6, 8):
            network[index].weight.mul_(5)
        network[1].weight.copy_(torch.tensor([1.5, -2.0, 1.0, 3.0]))
    for seed in (4, 5):
        functional.reset_net(network)
        network(labelled(seed)[0]).sum().backward()
    functional.detach_net(network)
    network[3].eval()
    return network
