"""The geometry of synapses: how a weight tensor connects neurons, and how often each weight is used."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ..errors import InputError
from .entries import Exclude, Include
from .find import Synapses, find_synapses, synapses_named
from .kinds import is_layer


@dataclass(frozen=True)
class Geometry:
    """The connection pattern of one tensor of synapses.

    For convolutions, units are channels, and fans count shared weights: kernel entries, borders ignored.

    Attributes:
        inputs: presynaptic units (features or channels; pairs of features for Bilinear).
        outputs: postsynaptic units.
        groups: convolution groups; 1 for all others.
        kernel: kernel size; empty for all but convolutions.
        fan_in: weights that lead into one postsynaptic unit.
        fan_out: weights that leave one presynaptic unit.
        output_axis: the axis of the weight tensor that counts postsynaptic units (within a group when transposed).
        uses: number of connections (pairs of neurons) that share each weight; broadcasts over the weight tensor. Ones
            for all but convolutions. None for a convolution whose spatial sizes are not known.
    """

    inputs: int
    outputs: int
    groups: int
    kernel: tuple[int, ...]
    fan_in: int
    fan_out: int
    output_axis: int
    uses: Tensor | None


def geometry(network: nn.Module, *, exclude: Exclude = (), include: Include = ()) -> dict[str, Geometry]:
    """Return the geometry of every tensor of synapses without sizes; `snnprune.geometry` also counts uses.

    Args:
        network: any module.
        exclude: as in `find_synapses`.
        include: as in `find_synapses`.

    Raises:
        InputError: as `find_synapses`.
    """
    found = find_synapses(network, exclude=exclude, include=include)
    return {name: static_geometry(entry) for name, entry in found.items()}


def geometry_named(network: nn.Module, names: Collection[str]) -> dict[str, Geometry]:
    """Return the geometry of the synapses with these names, whatever else the network has.

    Args:
        network: any module.
        names: of a connectivity of that network.

    Raises:
        InputError: as `synapses_named`.
    """
    return {name: static_geometry(entry) for name, entry in synapses_named(network, names).items()}


def static_geometry(synapses: Synapses | nn.Module) -> Geometry:
    """Return the geometry of synapses without spatial sizes: the uses of a convolution's weights are not known.

    Args:
        synapses: or the linear layer or convolution whose weight they are.

    Raises:
        InputError: a module of another kind.
    """
    if isinstance(synapses, Synapses) and not synapses.of_layer:
        return _of_matrix(synapses.parameter)
    module = synapses.module if isinstance(synapses, Synapses) else synapses
    if not is_layer(module):
        raise InputError(f"{type(module).__name__} is no linear layer or convolution: pass its Synapses")
    if isinstance(module, nn.Linear):
        return _of_matrix(module.weight)
    return _of_convolution(cast(_ConvNd, module))


def _of_matrix(weight: Tensor) -> Geometry:
    uses = torch.ones((1,) * weight.dim(), dtype=torch.int64, device="cpu")
    n_out, n_in = len(weight), math.prod(weight.shape[1:])
    return Geometry(n_in, n_out, 1, (), fan_in=n_in, fan_out=n_out, output_axis=0, uses=uses)


def _of_convolution(module: _ConvNd) -> Geometry:
    n_in, n_out, groups = module.in_channels, module.out_channels, module.groups
    kernel = tuple(module.kernel_size)
    taps = int(torch.Size(kernel).numel())
    fan_in, fan_out = n_in // groups * taps, n_out // groups * taps
    output_axis = 1 if isinstance(module, _ConvTransposeNd) else 0
    return Geometry(n_in, n_out, groups, kernel, fan_in, fan_out, output_axis, uses=None)
