"""The geometry of synapses: how a weight tensor connects neurons, and how often each weight is used."""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ..errors import InputError, shortened
from .entries import Exclude, Include
from .find import Synapses, find_synapses, synapses_named
from .kinds import is_layer
from .probing import probing


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


def geometry(
    network: nn.Module, example: Tensor | None = None, *, exclude: Exclude = (), include: Include = ()
) -> dict[str, Geometry]:
    """Return the geometry of every tensor of synapses.

    Args:
        network: any module; unchanged afterwards.
        example: one input batch, as the network takes it. With it the network runs once (in evaluation mode, without
            gradients) and the uses of convolution weights are counted exactly: a kernel entry that falls on the zero
            padding at a border is not used there.
        exclude: as in `find_synapses`.
        include: as in `find_synapses`.

    Raises:
        InputError: as `find_synapses`, an example that the network does not take, or a convolution that did not run on
            it.
    """
    return _geometries(network, find_synapses(network, exclude=exclude, include=include), example)


def geometry_named(network: nn.Module, names: Collection[str], example: Tensor | None = None) -> dict[str, Geometry]:
    """Return the geometry of the synapses with these names, whatever else the network has.

    Args:
        network: any module; unchanged afterwards.
        names: of a connectivity of that network.
        example: as in `geometry`.

    Raises:
        InputError: as `synapses_named`, or for the example as `geometry`.
    """
    return _geometries(network, synapses_named(network, names), example)


def _geometries(network: nn.Module, synapses: dict[str, Synapses], example: Tensor | None) -> dict[str, Geometry]:
    shapes = {name: static_geometry(entry) for name, entry in synapses.items()}
    if example is None:
        return shapes
    if not isinstance(example, Tensor):
        raise InputError(f"example must be a tensor of inputs, found {shortened(example)}")
    for name, (input_size, output_size) in _trace_sizes(network, synapses, example).items():
        module = cast(_ConvNd, synapses[name].module)
        shapes[name] = replace(shapes[name], uses=_count_uses(module, input_size, output_size))
    return shapes


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


def _trace_sizes(
    network: nn.Module, synapses: dict[str, Synapses], example: Tensor
) -> dict[str, tuple[torch.Size, torch.Size]]:
    """Return the spatial input and output sizes of each convolution when the network runs on `example`."""
    sizes: dict[str, tuple[torch.Size, torch.Size]] = {}
    convolutions: dict[nn.Module, str] = {
        entry.module: name for name, entry in synapses.items() if isinstance(entry.module, _ConvNd)
    }

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        spatial = len(cast(_ConvNd, module).kernel_size)
        sizes[convolutions[module]] = (inputs[0].shape[-spatial:], output.shape[-spatial:])

    with torch.no_grad(), probing(network, lambda module: note if module in convolutions else None):
        try:
            network(example)
        except (RuntimeError, ValueError) as error:
            reason, _, _ = str(error).partition("\n")
            raise InputError(f"{type(network).__name__} does not take {list(example.shape)}: {reason}") from error
    if missed := [name for name in convolutions.values() if name not in sizes]:
        raise InputError(f"{', '.join(missed)} did not run on the example: its uses cannot be counted; exclude it")
    return sizes


def _count_uses(module: _ConvNd, input_size: torch.Size, output_size: torch.Size) -> Tensor:
    """Count the connections that share each kernel entry, shape (1, 1, *kernel).

    Along one axis an entry is used once for each position at which it falls inside the input; the axes multiply.
    """
    uses = torch.ones((), dtype=torch.int64, device="cpu")
    # A transposed convolution connects the same pairs as the convolution from its output to its input.
    transposed = isinstance(module, _ConvTransposeNd)
    sources, targets = (output_size, input_size) if transposed else (input_size, output_size)
    for axis, taps in enumerate(module.kernel_size):
        first = torch.arange(targets[axis], device="cpu") * module.stride[axis] - _padding(module, axis)
        position = first[:, None] + torch.arange(taps, device="cpu") * module.dilation[axis]
        inside = (position >= 0) & (position < sources[axis])
        if module.padding_mode != "zeros":  # the border is filled with real activity: every entry is used
            inside = torch.ones_like(inside)
        uses = uses[..., None] * inside.sum(0)
    return uses[None, None]


def _padding(module: _ConvNd, axis: int) -> int:
    """Return the number of zeros before the first input along an axis; "same" puts the smaller half first."""
    if module.padding == "valid":
        return 0
    if module.padding == "same":
        return module.dilation[axis] * (module.kernel_size[axis] - 1) // 2
    return cast(tuple[int, ...], module.padding)[axis]
