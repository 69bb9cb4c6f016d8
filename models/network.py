"""A spiking network that looks at one still image for several time steps."""

from collections.abc import Iterable, Mapping
from itertools import islice

import torch
from spikingjelly.activation_based import base, functional, neuron
from torch import Tensor, nn

from snnprune.errors import InputError
from snnprune.strides import keep_strides


class StaticInputNetwork(nn.Sequential, base.StepModule):
    """Layers in a row; those before the first neuron see the image once, the rest sees T time steps.

    Direct coding: the current that the image causes is the same at every step, so it is computed once and shown to the
    first neuron T times. Layers before that neuron are plain torch.nn layers on [B, ...], those after it SpikingJelly
    layers in multi-step mode on [T, B, ...]. Neurons keep their state and dropout its mask until SpikingJelly's
    `functional.reset_net`: call it between batches. In single-step mode (`functional.set_step_mode`) a call runs one
    time step, as for any SpikingJelly module.

    Attributes:
        timesteps: T; may be changed at any time, since no parameter depends on it.
        static_layers: how many layers stand before the first neuron.
    """

    def __init__(self, layers: Mapping[str, nn.Module], *, timesteps: int) -> None:
        """Put the layers in a row.

        Args:
            layers: name -> layer in running order; the names are those of the children, as in "fc1.weight".
            timesteps: T, time steps for which an image is shown.

        Raises:
            InputError: timesteps is below 1, or no layer is a neuron (a SpikingJelly BaseNode, or nn.ReLU in a twin).
        """
        super().__init__()
        if timesteps < 1:
            raise InputError(f"timesteps is {timesteps}: a network runs for 1 time step or more")
        for name, module in layers.items():
            self.add_module(name, module)
        self.timesteps = timesteps
        self.static_layers = _first_neuron(layers.values())
        self.step_mode = "m"
        functional.set_step_mode(self, "m")

    def forward(self, input: Tensor) -> Tensor:
        """Spikes of the last layer for images [B, C, H, W]: [T, B, classes], or [B, classes] in single-step mode."""
        current = self.current(input)
        if self.step_mode == "m":
            # A sum of shapes, which torch.fx traces; torch 2.6 does not compile a torch.Size that is made here.
            current = keep_strides(current).unsqueeze(0).expand((self.timesteps,) + current.shape)  # noqa: RUF005
        return self.spikes(current)

    def current(self, images: Tensor) -> Tensor:
        """Current into the first neuron at every time step, [B, ...], for images [B, C, H, W]."""
        for layer in islice(self, self.static_layers):
            images = layer(images)
        return images

    def spikes(self, current: Tensor) -> Tensor:
        """Run everything from the first neuron on: [T, B, ...] -> [T, B, classes], or without T in single-step mode."""
        for layer in islice(self, self.static_layers, None):
            current = layer(current)
        return current


def step_by_step(network: StaticInputNetwork, images: Tensor) -> Tensor:
    """Run one time step after another, as the code of the Grad R paper does, instead of layer after layer.

    The result is that of `network(images)`, except that batch normalisation in training mode takes the statistics of
    each time step alone. For comparing speed; the neurons' state must be fresh, as for any forward pass.

    Args:
        network: left in multi-step mode.
        images: [B, C, H, W].

    Returns:
        Spikes of the last layer, [T, B, classes].
    """
    current = network.current(images)
    functional.set_step_mode(network, "s")
    try:
        return torch.stack([network.spikes(current) for _ in range(network.timesteps)])
    finally:
        functional.set_step_mode(network, "m")


def _first_neuron(layers: Iterable[nn.Module]) -> int:
    for position, module in enumerate(layers):
        if isinstance(module, neuron.BaseNode | nn.ReLU):
            return position
    raise InputError("the network has no neuron: put a SpikingJelly neuron (or nn.ReLU) among its layers")
