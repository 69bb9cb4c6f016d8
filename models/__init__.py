"""The networks of the papers, spiking and as their ANN twins: one definition each, the neuron is a parameter."""

from torch import nn

from snnprune.errors import InputError

from .convolutional import cifar10_cnn, lenet5, vgg11
from .layers import Maker
from .mlp import digits_mlp, mnist_mlp, of_sizes
from .network import StaticInputNetwork, step_by_step
from .neurons import NEURONS, Neuron

__all__ = ["StaticInputNetwork", "build", "check_name", "names", "step_by_step"]

# The function that makes a network, and its number of classes; None for any number.
_MODELS: dict[str, tuple[Maker, int | None]] = {
    "cifar10-cnn": (cifar10_cnn, 10),
    "digits-mlp": (digits_mlp, 10),
    "lenet5": (lenet5, None),
    "mnist-mlp": (mnist_mlp, 10),
    "vgg11": (vgg11, None),
}


def names() -> list[str]:
    """The names that `build` knows, sorted; beside them it takes sizes such as "784-512-10"."""
    return sorted(_MODELS)


def check_name(name: str) -> None:
    """Raise InputError if `build` does not know the name."""
    _find(name)


def build(name: str, *, timesteps: int = 8, neuron: str | Neuron = "lif", classes: int = 10) -> StaticInputNetwork:
    """A freshly initialised network (torch's default initialisation) in training mode, on the CPU.

    It takes images [B, C, H, W] and returns the spikes of its output neurons [T, B, classes]; their mean over T is the
    rate that is read as the answer. Call SpikingJelly's `functional.reset_net` between batches.

    Args:
        name: one of `names()`; or the sizes of a fully connected network, "784-512-10", or "P7-16-128-10" for images
            that are averaged over 7x7 pixels first.
        timesteps: T, time steps for which an image is shown.
        neuron: "lif" or "relu"; "relu" gives the ANN twin, with the same parameters and one time step whatever
            `timesteps` says; its outputs are not rectified. Or a function that makes a multi-step SpikingJelly neuron,
            called for each layer.
        classes: number of classes; many networks have 10, or what their sizes say, and no other.

    Raises:
        InputError: unknown name or neuron, timesteps below 1, or a number of classes that the network cannot have.
    """
    make_layers, fixed = _find(name)
    if isinstance(neuron, str) and neuron not in NEURONS:
        raise InputError(f"unknown neuron {neuron!r}: known are {', '.join(NEURONS)}")
    if classes < 2:
        raise InputError(f"{name} with classes={classes}: wanted 2 or more")
    if fixed not in (None, classes):
        free = ", ".join(other for other in names() if _MODELS[other][1] is None)
        raise InputError(f"{name} has {fixed} classes, not {classes}: take {free}, or sizes that end with {classes}")
    make = NEURONS[neuron] if isinstance(neuron, str) else neuron
    layers = make_layers(make, classes)
    if neuron == "relu":
        # A rectified output that starts below 0 has no gradient: its class would never be answered.
        layers[[key for key in layers if key.startswith("neuron")][-1]] = nn.Identity()
    return StaticInputNetwork(layers, timesteps=1 if neuron == "relu" else timesteps)


def _find(name: str) -> tuple[Maker, int | None]:
    if found := _MODELS.get(name) or of_sizes(name):
        return found
    raise InputError(f"unknown model {name!r}: known are {', '.join(names())}, and sizes such as 784-512-10")
