"""The networks of the papers, spiking and as their ANN twins: one definition each, the neuron is a parameter."""

from collections.abc import Callable

from torch import nn

from snnprune.errors import InputError

from .convolutional import cifar10_cnn, lenet5, vgg11
from .layers import Layers
from .mlp import digits_mlp, mnist_mlp
from .network import StaticInputNetwork, step_by_step
from .neurons import NEURONS, Neuron

__all__ = ["StaticInputNetwork", "build", "names", "step_by_step"]

_ANY_CLASSES: dict[str, Callable[[Neuron, int], Layers]] = {"lenet5": lenet5, "vgg11": vgg11}
_TEN_CLASSES: dict[str, Callable[[Neuron, int], Layers]] = {
    "digits-mlp": digits_mlp,
    "mnist-mlp": mnist_mlp,
    "cifar10-cnn": cifar10_cnn,
}


def names() -> list[str]:
    """The names that `build` knows, sorted."""
    return sorted(_ANY_CLASSES | _TEN_CLASSES)


def build(name: str, *, timesteps: int = 8, neuron: str | Neuron = "lif", classes: int = 10) -> StaticInputNetwork:
    """A freshly initialised network (torch's default initialisation) in training mode, on the CPU.

    It takes images [B, C, H, W] and returns the spikes of its output neurons [T, B, classes]; their mean over T is the
    rate that is read as the answer. Call SpikingJelly's `functional.reset_net` between batches.

    Args:
        name: one of `names()`.
        timesteps: T, time steps for which an image is shown.
        neuron: "lif" or "relu"; "relu" gives the ANN twin, with the same parameters and one time step whatever
            `timesteps` says; its outputs are not rectified. Or a function that makes a multi-step SpikingJelly neuron,
            called for each layer.
        classes: number of classes; the networks of the papers have 10 and no other.

    Raises:
        InputError: unknown name or neuron, timesteps below 1, or a number of classes that the network cannot have.
    """
    if name not in names():
        raise InputError(f"unknown model {name!r}: known are {', '.join(names())}")
    if isinstance(neuron, str) and neuron not in NEURONS:
        raise InputError(f"unknown neuron {neuron!r}: known are {', '.join(NEURONS)}")
    if classes < 2:
        raise InputError(f"{name} with classes={classes}: wanted 2 or more")
    if name in _TEN_CLASSES and classes != 10:
        raise InputError(f"{name} has 10 classes, not {classes}: for another number take {' or '.join(_ANY_CLASSES)}")
    make = NEURONS[neuron] if isinstance(neuron, str) else neuron
    layers = (_ANY_CLASSES | _TEN_CLASSES)[name](make, classes)
    if neuron == "relu":
        # A rectified output that starts below 0 has no gradient: its class would never be answered.
        layers[[key for key in layers if key.startswith("neuron")][-1]] = nn.Identity()
    return StaticInputNetwork(layers, timesteps=1 if neuron == "relu" else timesteps)
