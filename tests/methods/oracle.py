"""Slow, independent versions of training steps: plain Python floats, one weight after another.

An oracle holds weights of its own, takes the gradients at those, moves them by optimizers that are written out here,
and applies a method's rule with loops and sorts. `compare` trains a network with the method and the oracle side by
side and asks after every step for the same synapses and the same weights.
"""

import itertools
import math
import random
from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn
from torch.optim import SGD, Adam, Optimizer

from snnprune import Method
from snnprune.seeding import generator

Named = dict[str, list[float]]
SHAPES = {"0.weight": (8, 6), "2.weight": (4, 8)}
SIZES = {name: rows * columns for name, (rows, columns) in SHAPES.items()}
STEPS = 60  # of a method's schedule; `compare` checks 50 of them
SEED = 5


def network() -> nn.Sequential:
    """Two layers with spiking neurons between them, 48 and 32 weights in float64, so that rounding does not add up."""
    torch.manual_seed(3)
    spiking = neuron.LIFNode(v_threshold=0.3, detach_reset=True, step_mode="m")
    layers = (layer.Linear(6, 8, bias=False, step_mode="m"), spiking, layer.Linear(8, 4, bias=False, step_mode="m"))
    return nn.Sequential(*layers).double()


def backward(module: nn.Module, step: int) -> None:
    """Gradients of the loss on the batch of a step."""
    generator = torch.Generator().manual_seed(step)
    images = 2 * torch.rand(3, 5, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (5,), generator=generator)
    functional.reset_net(module)
    module.zero_grad()
    nn.functional.cross_entropy(module(images).mean(0), labels).backward()


class AdamByHand:
    """Adam (Kingma and Ba), without weight decay."""

    kind: ClassVar[Callable[..., Optimizer]] = Adam
    options: ClassVar[dict] = {"lr": 0.03, "betas": (0.8, 0.95), "eps": 1e-8}

    def __init__(self) -> None:
        self.lr, (self.beta1, self.beta2), self.eps = (self.options[key] for key in ("lr", "betas", "eps"))
        self.first: Named = {name: [0.0] * size for name, size in SIZES.items()}
        self.second: Named = {name: [0.0] * size for name, size in SIZES.items()}

    def trained(self, name: str, i: int, value: float, gradient: float, t: int) -> float:
        m, v = self.first[name], self.second[name]
        m[i] = self.beta1 * m[i] + (1 - self.beta1) * gradient
        v[i] = self.beta2 * v[i] + (1 - self.beta2) * gradient * gradient
        denominator = math.sqrt(v[i] / (1 - self.beta2**t)) + self.eps
        return value - self.lr * (m[i] / (1 - self.beta1**t)) / denominator

    def rate(self, t: int) -> float:
        """The step of the first moment, which a prior is scaled with."""
        return self.lr / (1 - self.beta1**t)

    def forget(self, name: str, i: int) -> None:
        self.first[name][i] = self.second[name][i] = 0.0


class MomentumByHand:
    """Gradient descent with momentum."""

    kind: ClassVar[Callable[..., Optimizer]] = SGD
    options: ClassVar[dict] = {"lr": 0.7, "momentum": 0.8}

    def __init__(self) -> None:
        self.lr, self.momentum = self.options["lr"], self.options["momentum"]
        self.buffer: Named = {name: [0.0] * size for name, size in SIZES.items()}

    def trained(self, name: str, i: int, value: float, gradient: float, t: int) -> float:
        self.buffer[name][i] = self.momentum * self.buffer[name][i] + gradient
        return value - self.lr * self.buffer[name][i]

    def rate(self, t: int) -> float:
        return self.lr

    def forget(self, name: str, i: int) -> None:
        self.buffer[name][i] = 0.0


ByHand = AdamByHand | MomentumByHand
OPTIMIZERS = [pytest.param(AdamByHand, id="adam"), pytest.param(MomentumByHand, id="sgd-momentum")]


class Oracle:
    """Trains `weights` where `present`; a method's oracle overrides `begin` and `follow`."""

    def __init__(self, optimizer: ByHand) -> None:
        self.optimizer = optimizer
        self.twin = network()
        self.weights: Named = {name: p.flatten().tolist() for name, p in self.twin.named_parameters()}
        self.present = {name: [True] * size for name, size in SIZES.items()}

    def begin(self) -> None:
        """At the optimizer's first step: the first connectivity is drawn then, after the first gradient."""

    def follow(self, t: int, gradients: Named) -> None:
        """The rule, after the optimizer's step t (from 1); gradients of all weights, absent ones too."""

    def step(self, t: int) -> None:
        gradients = self.gradients(t)
        if t == 1:
            self.begin()
        self.move(t, gradients)
        self.follow(t, gradients)

    def gradients(self, t: int) -> Named:
        """Gradients at the oracle's own weights."""
        parameters = dict(self.twin.named_parameters())
        for name, parameter in parameters.items():
            parameter.data = torch.tensor(self.weights[name], dtype=torch.float64).reshape(SHAPES[name])
        backward(self.twin, t)
        return {name: parameter.grad.flatten().tolist() for name, parameter in parameters.items()}

    def move(self, t: int, gradients: Named) -> None:
        """The existing synapses, in the order of their gradients."""
        for name, weights in self.weights.items():
            for i in self.there(name):
                weights[i] = self.optimizer.trained(name, i, weights[i], gradients[name][i], t)

    def there(self, name: str) -> list[int]:
        return [i for i in range(SIZES[name]) if self.present[name][i]]

    def remove(self, name: str, i: int) -> None:
        """Prune a synapse, with its moments."""
        self.present[name][i], self.weights[name][i] = False, 0.0
        self.optimizer.forget(name, i)


def compare(
    make: Callable[[nn.Module, Optimizer], Method], oracle: Oracle, *, steps: int = 50
) -> list[dict[str, list[bool]]]:
    """Train both; return the existing synapses after each step."""
    trained = network()
    optimizer = oracle.optimizer.kind(trained.parameters(), **oracle.optimizer.options)
    method = make(trained, optimizer)
    history = []
    for t in range(1, steps + 1):
        backward(trained, t)
        optimizer.step()
        oracle.step(t)
        found = method.connectivity()
        assert {name: mask.flatten().tolist() for name, mask in found.items()} == oracle.present, f"step {t}"
        for name, parameter in trained.named_parameters():
            assert parameter.flatten().tolist() == pytest.approx(oracle.weights[name], rel=1e-9, abs=1e-15), (t, name)
        history.append({name: list(mask) for name, mask in oracle.present.items()})
    return history


def turnover(history: list[dict[str, list[bool]]]) -> int:
    """Number of synapses that were grown, over all steps."""
    pairs = itertools.pairwise(history)
    return sum(
        new > old for before, after in pairs for n in SIZES for old, new in zip(before[n], after[n], strict=True)
    )


# --- Random choices


def uniform(seed: int, steps: int, index: int, name: str) -> list[float]:
    return torch.rand(SHAPES[name], generator=generator(seed, steps, index)).flatten().tolist()


def normal(seed: int, steps: int, index: int, name: str) -> list[float]:
    numbers = generator(seed, steps, index)
    return torch.randn(SHAPES[name], generator=numbers, dtype=torch.float64).flatten().tolist()


def walk(seed: int, steps: int, name: str, size: int) -> list[int]:
    """Visit `size` positions once each, from a random start with a random stride."""
    draw = random.Random(f"{seed} {steps} {name}")
    stride = draw.randrange(1, size)
    while math.gcd(stride, size) > 1:
        stride = draw.randrange(1, size)
    position, positions = draw.randrange(size), []
    for _ in range(size):
        positions.append(position)
        position = (position + stride) % size
    return positions


def drawn(seed: int, counts: dict[str, int]) -> dict[str, list[bool]]:
    """A first connectivity: in each tensor those with the largest of random numbers."""
    draw = generator(seed)
    chosen = {}
    for name, shape in SHAPES.items():
        numbers = torch.rand(shape, generator=draw).flatten().tolist()
        best = sorted(range(SIZES[name]), key=lambda i: -numbers[i])[: counts[name]]
        chosen[name] = [i in best for i in range(SIZES[name])]
    return chosen


def erdos_renyi_counts(density: float) -> dict[str, int]:
    """(inputs + outputs) of each layer, in proportion; largest remainders make the sum exact."""
    total = round(density * sum(SIZES.values()))
    units = {name: sum(shape) for name, shape in SHAPES.items()}
    shares = {name: total * units[name] / sum(units.values()) for name in SHAPES}
    assert all(share < SIZES[name] for name, share in shares.items())
    counts = {name: math.floor(share) for name, share in shares.items()}
    for name in sorted(SHAPES, key=lambda name: counts[name] - shares[name])[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def uniform_counts(density: float) -> dict[str, int]:
    """The same density in each layer; densities that leave no fraction."""
    assert all((density * size).is_integer() for size in SIZES.values())
    return {name: int(density * size) for name, size in SIZES.items()}
