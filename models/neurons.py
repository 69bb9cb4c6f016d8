"""The neurons that a network can be built with."""

from collections.abc import Callable

from spikingjelly.activation_based import neuron, surrogate
from torch import nn

Neuron = Callable[[], nn.Module]


def lif() -> nn.Module:
    """Make the Grad R paper's leaky integrate-and-fire neuron: tau 2, threshold 1, hard reset to 0, ATan surrogate."""
    return neuron.LIFNode(
        tau=2.0, v_threshold=1.0, v_reset=0.0, surrogate_function=surrogate.ATan(), detach_reset=True, step_mode="m"
    )


NEURONS: dict[str, Neuron] = {"lif": lif, "relu": nn.ReLU}
