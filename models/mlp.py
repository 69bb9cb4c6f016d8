"""Fully connected networks."""

import re
from itertools import pairwise

from spikingjelly.activation_based import layer
from torch import nn

from .layers import Layers, Maker
from .neurons import Neuron

# Sizes of the layers, "784-512-10", after the size of an average pooling, "P7-16-128-10".
_SIZES = re.compile(r"(?:P([1-9]\d{0,17})-)?([1-9]\d{0,17}(?:-[1-9]\d{0,17})+)")


def digits_mlp(neuron: Neuron, classes: int) -> Layers:
    """64-128-10 for the 8x8 digits of scikit-learn, [B, 1, 8, 8]: small enough for tests."""
    return _fully_connected([64, 128, classes], neuron)


def mnist_mlp(neuron: Neuron, classes: int) -> Layers:
    """784-800-10 for [B, 1, 28, 28]: the MNIST network of Grad R (Chen et al., IJCAI 2021), 635,200 synapses."""
    return _fully_connected([784, 800, classes], neuron)


def of_sizes(name: str) -> tuple[Maker, int] | None:
    """Return the maker of the network whose sizes a name lists, and its number of classes; None for any other name.

    "784-512-10" has 784 inputs, 512 neurons and 10 classes; with "P7-16-128-10" the 28x28 pixels of an image are first
    averaged over 7x7, which leaves 16.
    """
    found = _SIZES.fullmatch(name)
    if found is None:
        return None
    sizes = [int(size) for size in found[2].split("-")]

    def make(neuron: Neuron, _classes: int) -> Layers:
        return _fully_connected(sizes, neuron, pool=int(found[1] or 1))

    return make, sizes[-1]


def _fully_connected(sizes: list[int], neuron: Neuron, *, pool: int = 1) -> Layers:
    layers: Layers = {"pool": nn.AvgPool2d(pool)} if pool > 1 else {}
    layers["flatten"] = nn.Flatten()
    for index, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        kind = nn.Linear if index == 1 else layer.Linear  # the first neuron adds the time axis
        layers |= {f"fc{index}": kind(inputs, outputs, bias=False), f"neuron{index}": neuron()}
    return layers
