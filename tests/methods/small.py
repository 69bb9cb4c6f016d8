"""Small networks and their gradients: one layer for values that can be computed on paper, two for random values."""

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from snnprune import Connectivity, Method


def single(weights: list[float], lr: float = 1.0) -> tuple[nn.Linear, Optimizer]:
    """A layer with one neuron that has these weights, and plain gradient descent."""
    network = nn.Linear(len(weights), 1, bias=False)
    network.weight.data = torch.tensor([weights])
    return network, SGD(network.parameters(), lr=lr)


def step(network: nn.Linear, optimizer: Optimizer, gradient: list[float] | float = 0.0) -> Tensor:
    """One step with this gradient; returns the weights."""
    network.weight.grad = torch.zeros_like(network.weight) + torch.tensor(gradient)
    optimizer.step()
    return network.weight.detach().reshape(-1)


def kept(method: Method) -> list[int]:
    """Indices of the existing synapses."""
    return method.connectivity()["weight"].reshape(-1).nonzero().reshape(-1).tolist()


def at(*positions: int):
    """An allocation that starts with these positions of `single`'s layer, whatever the density."""

    def allocate(scores, density, geometries) -> Connectivity:
        mask = torch.zeros_like(scores["weight"], dtype=torch.bool)
        mask[0, list(positions)] = True
        return Connectivity({"weight": mask})

    return allocate


def pair(**layout) -> tuple[nn.Sequential, Optimizer]:
    """Two convolutions, and gradient descent with momentum."""
    network = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.Conv2d(6, 4, 3, bias=False)).to(**layout)
    return network, SGD(network.parameters(), lr=0.1, momentum=0.9)


def push(network: nn.Module, optimizer: Optimizer, first: int, last: int, **layout) -> None:
    """Steps with gradients that depend on the step alone."""
    for count in range(first, last):
        generator = torch.Generator().manual_seed(count)
        for parameter in network.parameters():
            if parameter.requires_grad:
                gradient = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
                parameter.grad = gradient.contiguous(**layout)
        optimizer.step()
