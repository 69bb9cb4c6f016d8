"""A spiking network that is presented with a static image for several time steps."""

from collections.abc import Iterable, Mapping
from itertools import islice

import torch
from spikingjelly.activation_based import base, functional, neuron
from torch import Tensor, nn

from snnprune.errors import InputError
from snnprune.strides import keep_strides


class StaticInputNetwork(nn.Sequential, base.StepModule):
    """A sequence of layers: those before the first neuron run once per image, the rest for T time steps.

    Direct coding: the input current of the first neuron is the same at every step, so it is computed once and repeated
    T times. Layers before that neuron are plain torch.nn layers on [B, ...], those after it SpikingJelly layers in
    multi-step mode on [T, B, ...]. Neurons keep their state and dropout its mask until SpikingJelly's
    `functional.reset_net`: call it between batches. In single-step mode (`functional.set_step_mode`) a call runs one
    time step, as for any SpikingJelly module.

    Attributes:
        timesteps: T; may be changed at any time, since no parameter depends on it.
        static_layers: number of layers before the first neuron.
    """

    def __init__(self, layers: Mapping[str, nn.Module], *, timesteps: int) -> None:
        """Make a network of these layers.

        Args:
            layers: name -> layer in the order of execution; the names become those of the children, as in "fc1.weight".
            timesteps: T, number of time steps for which an image is presented.

        Raises:
            InputError: timesteps is below 1, or no layer is a neuron (a SpikingJelly BaseNode, or nn.ReLU in a twin).
        """
        super().__init__()
        if timesteps < 1:
            raise InputError(f"timesteps must be 1 or more, found {timesteps}")
        for name, module in layers.items():
            self.add_module(name, module)
        self.timesteps = timesteps
        self.static_layers = _first_neuron(layers.values())
        self.step_mode = "m"
        functional.set_step_mode(self, "m")

    def forward(self, input: Tensor) -> Tensor:
        """Return the output for images [B, C, H, W]: [T, B, classes], or [B, classes] in single-step mode."""
        current = self.current(input)
        if self.step_mode == "m":
            # A sum of shapes, which torch.fx traces; torch 2.6 does not compile a torch.Size that is made here.
            current = keep_strides(current).unsqueeze(0).expand((self.timesteps,) + current.shape)  # noqa: RUF005
        return self.spikes(current)

    def current(self, images: Tensor) -> Tensor:
        """Return the input current of the first neuron at every time step, [B, ...], for images [B, C, H, W]."""
        for layer in islice(self, self.static_layers):
            images = layer(images)
        return images

    def spikes(self, current: Tensor) -> Tensor:
        """Run the layers from the first neuron on: [T, B, ...] -> [T, B, classes], or without T in single-step mode."""
        for layer in islice(self, self.static_layers, None):
            current = layer(current)
        return current


def step_by_step(network: StaticInputNetwork, images: Tensor) -> Tensor:
    """Run all layers for one time step after another, as the code of the Grad R paper does; for comparisons of speed.

    The result is that of `network(images)`, except that batch normalisation in training mode takes the statistics of
    each time step alone. Reset the neurons before, as for any forward pass.

    Args:
        network: in multi-step mode before and after.
        images: [B, C, H, W].

    Returns:
        The output, [T, B, classes].
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
