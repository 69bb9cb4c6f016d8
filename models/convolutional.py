"""Convolutional networks."""

from spikingjelly.activation_based import layer

from .layers import Layers, conv, pool
from .neurons import Neuron


def lenet5(neuron: Neuron, classes: int) -> Layers:
    """LeNet-5 for [B, 1, 28, 28], in the size that the pruning literature uses: 20C5-P2-50C5-P2-500-10.

    430,500 synapses; batch normalisation after the convolutions.
    """
    return {
        **conv(1, 1, 20, neuron, kernel=5, padding=0),
        **pool(1),
        **conv(2, 20, 50, neuron, kernel=5, padding=0),
        **pool(2),
        "flatten": layer.Flatten(),
        "fc1": layer.Linear(50 * 4 * 4, 500, bias=False),
        "neuron3": neuron(),
        "fc2": layer.Linear(500, classes, bias=False),
        "neuron4": neuron(),
    }


def cifar10_cnn(neuron: Neuron, classes: int) -> Layers:
    """6conv2fc for [B, 3, 32, 32]: the CIFAR-10 network of Grad R (Chen et al., IJCAI 2021), 36,715,264 synapses.

    Ten output neurons vote for each class. Dropout drops the same neurons at every time step.
    """
    width = 256
    return {
        **conv(1, 3, width, neuron),
        **conv(2, width, width, neuron),
        **conv(3, width, width, neuron),
        **pool(1),
        **conv(4, width, width, neuron),
        **conv(5, width, width, neuron),
        **conv(6, width, width, neuron),
        **pool(2),
        "flatten": layer.Flatten(),
        "dropout": layer.Dropout(0.5),
        "fc1": layer.Linear(width * 8 * 8, 2048, bias=False),
        "neuron7": neuron(),
        "fc2": layer.Linear(2048, 10 * classes, bias=False),
        "neuron8": neuron(),
        "vote": layer.VotingLayer(10),
    }


def vgg11(neuron: Neuron, classes: int) -> Layers:
    """VGG-11 with batch normalisation for [B, 3, 32, 32], one fully connected layer at its end (9,222,848 synapses)."""
    layers: Layers = {}
    channels, pools = 3, 0
    for index, width in enumerate((64, 128, 256, 256, 512, 512, 512, 512), start=1):
        layers |= conv(index, channels, width, neuron)
        channels = width
        if index in (1, 2, 4, 6, 8):
            pools += 1
            layers |= pool(pools)
    head = {"flatten": layer.Flatten(), "fc": layer.Linear(channels, classes, bias=False), "neuron9": neuron()}
    return layers | head
