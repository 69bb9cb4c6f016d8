"""Groups of layers that several networks share. No layer has a bias."""

from collections.abc import Callable

from spikingjelly.activation_based import layer
from torch import nn

from .neurons import Neuron

Layers = dict[str, nn.Module]
# Makes the layers of a network from a kind of neuron and the number of classes.
Maker = Callable[[Neuron, int], Layers]


def conv(index: int, inputs: int, outputs: int, neuron: Neuron, *, kernel: int = 3, padding: int = 1) -> Layers:
    """Return convolution, batch normalisation and neuron, named conv1, bn1, neuron1 for index 1.

    Layers of index 1 precede the first neuron, where there is no time axis: they are plain torch layers.
    """
    kind = nn if index == 1 else layer
    return {
        f"conv{index}": kind.Conv2d(inputs, outputs, kernel, padding=padding, bias=False),
        f"bn{index}": kind.BatchNorm2d(outputs),
        f"neuron{index}": neuron(),
    }


def pool(index: int) -> Layers:
    """Return max-pooling over 2x2, named pool1 for index 1; the maximum of spikes is a spike."""
    return {f"pool{index}": layer.MaxPool2d(2)}
