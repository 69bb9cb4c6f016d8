"""The networks of the papers: one definition each for the spiking network and its ANN twin."""

from typing import Annotated

from torch import nn

from snnprune.errors import InputError, shortened
from snnprune.options import Count, Interval, checked

from .convolutional import cifar10_cnn, lenet5, vgg11
from .layers import Maker
from .mlp import digits_mlp, mnist_mlp, of_sizes
from .network import StaticInputNetwork, step_by_step
from .neurons import NEURONS, Neuron

__all__ = ["StaticInputNetwork", "build", "check_name", "names", "step_by_step"]

# The function that makes a network's layers, and its number of classes; None for any number.
_MODELS: dict[str, tuple[Maker, int | None]] = {
    "cifar10-cnn": (cifar10_cnn, 10),
    "digits-mlp": (digits_mlp, 10),
    "lenet5": (lenet5, None),
    "mnist-mlp": (mnist_mlp, 10),
    "vgg11": (vgg11, None),
}

Classes = Annotated[int, Interval(least=2)]


def names() -> list[str]:
    """Return the names that `build` knows, sorted; it also takes sizes such as "784-512-10"."""
    return sorted(_MODELS)


def check_name(name: str) -> None:
    """Make sure that `build` knows a name.

    Raises:
        InputError: unknown name; the known ones are listed.
    """
    _find(name)


@checked
def build(
    name: str, *, timesteps: Count = 8, neuron: str | Neuron = "lif", classes: Classes = 10
) -> StaticInputNetwork:
    """Make a freshly initialised network (torch's default initialisation) in training mode, on the CPU.

    It takes images [B, C, H, W] and returns the spikes of its output neurons [T, B, classes]; the class with the
    highest mean over T is the prediction. Call SpikingJelly's `functional.reset_net` between batches.

    Args:
        name: one of `names()`; or the sizes of a fully connected network, "784-512-10", or "P7-16-128-10" for images
            that are averaged over 7x7 pixels first.
        timesteps: T, number of time steps for which an image is presented, 1 or more.
        neuron: "lif" or "relu"; "relu" gives the ANN twin, with the same parameters, one time step whatever `timesteps`
            is, and outputs that are not rectified. Or a function that makes a multi-step SpikingJelly neuron, called
            once for each layer.
        classes: number of classes, 2 or more; many networks have a fixed number: 10, or the last of their sizes.

    Raises:
        InputError: unknown name or neuron, timesteps below 1, or a number of classes that the network cannot have.
    """
    make_layers, fixed = _find(name)
    if isinstance(neuron, str) and neuron not in NEURONS:
        raise InputError(f"unknown neuron {shortened(neuron)}: known are {', '.join(NEURONS)}")
    if fixed not in (None, classes):
        free = ", ".join(other for other in names() if _MODELS[other][1] is None)
        raise InputError(f"{name} has {fixed} classes, not {classes}: use {free}, or sizes that end with {classes}")
    of_own = NEURONS[neuron] if isinstance(neuron, str) else neuron

    def make() -> nn.Module:
        made = of_own()
        if not isinstance(made, nn.Module):
            raise InputError(f"neuron must make a torch module, {shortened(neuron)} makes {shortened(made)}")
        return made

    layers = make_layers(make, classes)
    if neuron == "relu":
        # A rectified output below 0 has no gradient: its class would never be learned.
        layers[[key for key in layers if key.startswith("neuron")][-1]] = nn.Identity()
    return StaticInputNetwork(layers, timesteps=1 if neuron == "relu" else timesteps)


def _find(name: str) -> tuple[Maker, int | None]:
    if found := _MODELS.get(name) or of_sizes(name):
        return found
    raise InputError(f"unknown model {shortened(name)}: known are {', '.join(names())}, and sizes such as 784-512-10")
