"""The geometry of synapses: how a weight tensor connects neurons, and how often each weight is used."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from .find import Exclude, find_synapses


@dataclass(frozen=True)
class Geometry:
    """The connection pattern of one tensor of synapses.

    For convolutions, units are channels, and fans count shared weights: kernel entries, borders ignored.

    Attributes:
        inputs: presynaptic units (features or channels).
        outputs: postsynaptic units.
        groups: convolution groups; 1 for Linear.
        kernel: kernel size; empty for Linear.
        fan_in: weights that lead into one postsynaptic unit.
        fan_out: weights that leave one presynaptic unit.
        output_axis: the axis of the weight tensor that counts postsynaptic units (within a group when transposed).
        uses: number of connections (pairs of neurons) that share each weight; broadcasts over the weight tensor. Ones
            for Linear. None for a convolution whose spatial sizes are not known.
    """

    inputs: int
    outputs: int
    groups: int
    kernel: tuple[int, ...]
    fan_in: int
    fan_out: int
    output_axis: int
    uses: Tensor | None


def geometry(network: nn.Module, *, exclude: Exclude = ()) -> dict[str, Geometry]:
    """Return the geometry of every tensor of synapses without sizes; `snnprune.geometry` also counts uses.

    Args:
        network: any module.
        exclude: as in `find_synapses`.

    Raises:
        InputError: as `find_synapses`.
    """
    return {name: static_geometry(entry.module) for name, entry in find_synapses(network, exclude=exclude).items()}


def static_geometry(module: nn.Linear | _ConvNd) -> Geometry:
    """Return the geometry of a layer without spatial sizes: the uses of a convolution's weights are not known."""
    if isinstance(module, nn.Linear):
        uses = torch.ones((1, 1), dtype=torch.int64, device="cpu")
        n_in, n_out = module.in_features, module.out_features
        return Geometry(n_in, n_out, 1, (), fan_in=n_in, fan_out=n_out, output_axis=0, uses=uses)
    n_in, n_out, groups = module.in_channels, module.out_channels, module.groups
    kernel = tuple(module.kernel_size)
    taps = int(torch.Size(kernel).numel())
    fan_in, fan_out = n_in // groups * taps, n_out // groups * taps
    output_axis = 1 if isinstance(module, _ConvTransposeNd) else 0
    return Geometry(n_in, n_out, groups, kernel, fan_in, fan_out, output_axis, uses=None)
