"""One layer of six to ten weights and gradients given by hand: for values that can be computed on paper."""

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from snnprune import Rewiring


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


def kept(method: Rewiring) -> list[int]:
    """Which synapses exist."""
    return method.connectivity()["weight"].reshape(-1).nonzero().reshape(-1).tolist()
