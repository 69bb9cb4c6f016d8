"""Fully connected networks."""

from spikingjelly.activation_based import layer
from torch import nn

from .layers import Layers
from .neurons import Neuron


def digits_mlp(neuron: Neuron, classes: int) -> Layers:
    """64-128-10 for the 8x8 digits of scikit-learn, [B, 1, 8, 8]: small enough for tests."""
    return _two_layers(64, 128, classes, neuron)


def mnist_mlp(neuron: Neuron, classes: int) -> Layers:
    """784-800-10 for [B, 1, 28, 28]: the MNIST network of Grad R (Chen et al., IJCAI 2021), 635,200 synapses."""
    return _two_layers(784, 800, classes, neuron)


def _two_layers(inputs: int, hidden: int, outputs: int, neuron: Neuron) -> Layers:
    return {
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(inputs, hidden, bias=False),
        "neuron1": neuron(),
        "fc2": layer.Linear(hidden, outputs, bias=False),
        "neuron2": neuron(),
    }
