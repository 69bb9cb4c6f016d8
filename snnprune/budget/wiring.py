"""Layers of a network as a chip has them: which inputs lead to which neurons."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from ..connectivity import Connectivity
from ..errors import InputError
from ..options import checked
from ..probe import run
from ..synapses import Exclude, Synapses, check_layers, find_synapses, probing


@dataclass(frozen=True, kw_only=True)
class Wired:
    """One layer of neurons and the synapses that lead to it.

    Everything has two spatial axes; those of a Linear layer are 1 x 1.

    Attributes:
        name: of the tensor of synapses.
        kernels: which exist, bool [C_out, C_in, kernel height, kernel width], also for groups; on the CPU.
        inputs: (C_in, H, W) of what one sample sends to the layer at a time step.
        outputs: (C_out, H, W) of its neurons.
        stride, padding, dilation: (height, width).
        convolution: whether one kernel serves many positions.
    """

    name: str
    kernels: np.ndarray
    inputs: tuple[int, int, int]
    outputs: tuple[int, int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    convolution: bool = False

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return prod(self.outputs)

    @property
    def label(self) -> str:
        """Its name without ".weight"."""
        return self.name.removesuffix(".weight")

    @property
    def fan_in(self) -> np.ndarray:
        """Inputs of a neuron of each output channel, int [C_out]; borders ignored."""
        return self.kernels.sum((1, 2, 3))

    @property
    def fan_out(self) -> np.ndarray:
        """Targets of an input of each channel, at the position that has most; int [C_in]; borders ignored."""
        uses = self.kernels.sum(0)
        rows, columns = (
            np.arange(size) * d % s for size, d, s in zip(uses.shape[1:], self.dilation, self.stride, strict=True)
        )
        phases = [
            uses[:, rows == row][:, :, columns == column].sum((1, 2))
            for row in range(self.stride[0])
            for column in range(self.stride[1])
        ]
        return np.max(phases, axis=0)

    def span(self, axis: int, size: int) -> int:
        """Number of inputs along an axis (0 height, 1 width) that `size` neighbouring neurons receive."""
        reach = (size - 1) * self.stride[axis] + (self.kernels.shape[2 + axis] - 1) * self.dilation[axis] + 1
        return min(reach, self.inputs[1 + axis])

    def heard_by(self, axis: int, size: int) -> np.ndarray:
        """For each input along an axis, the number of patches of `size` neighbouring neurons that receive it."""
        heard = np.zeros(self.inputs[1 + axis], np.int64)
        for first in range(0, self.outputs[1 + axis], size):
            last = min(first + size, self.outputs[1 + axis]) - 1
            begin = first * self.stride[axis] - self.padding[axis]
            end = last * self.stride[axis] - self.padding[axis]
            end += (self.kernels.shape[2 + axis] - 1) * self.dilation[axis]
            heard[max(begin, 0) : end + 1] += 1
        return heard


@checked
def wire(
    network: nn.Module, example: Tensor, *, connectivity: Connectivity | None = None, exclude: Exclude = ()
) -> list[Wired]:
    """The layers of a network in the order in which they run.

    Args:
        network: left as it was.
        example: one input batch, as the network takes it.
        connectivity: which synapses exist; None: those whose weight is not 0.
        exclude: layers that are not to be on the chip.

    Raises:
        InputError: a connectivity of another network, a layer that does not run, or one that no chip here can express.
    """
    synapses = find_synapses(network, exclude=exclude)
    check_layers(synapses, "the wiring of a chip")
    present = connectivity if connectivity is not None else Connectivity.from_network(network, exclude=exclude)
    present.check(network)
    sizes = _trace(network, synapses, example)
    if idle := [name for name in synapses if name not in sizes]:
        raise InputError(f"{', '.join(idle)} did not run on the example: exclude what is not to be on the chip")
    layers = []
    for name, (inputs, outputs) in sizes.items():
        entry = synapses[name]
        mask = present[name] if name in present else torch.ones_like(entry.parameter, dtype=torch.bool)
        layers.append(_wired(name, entry.module, mask.cpu(), inputs, outputs))
    return layers


def _wired(name: str, module: nn.Module, mask: Tensor, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Wired:
    if isinstance(module, nn.Linear):
        kernels = mask.numpy()[:, :, None, None]
        return Wired(name=name, kernels=kernels, inputs=(inputs[0], 1, 1), outputs=(outputs[0], 1, 1))
    if (
        not isinstance(module, nn.Conv1d | nn.Conv2d)
        or module.padding_mode != "zeros"
        or isinstance(module.padding, str)
    ):
        raise InputError(
            f"{name} is a {type(module).__name__} that no chip here can be described for: use Linear, and Conv1d or "
            "Conv2d with zeros as padding, given in numbers; exclude it, or replace it by an equal layer of these"
        )
    flat = isinstance(module, nn.Conv1d)

    def pair(values: tuple[int, ...], filler: int) -> tuple[int, int]:
        return (filler, values[0]) if flat else (values[0], values[1])

    kernels = mask.numpy()[:, :, None] if flat else mask.numpy()
    return Wired(
        name=name,
        kernels=_ungrouped(kernels, module.groups),
        inputs=(inputs[0], *pair(inputs[1:], 1)),
        outputs=(outputs[0], *pair(outputs[1:], 1)),
        stride=pair(module.stride, 1),
        padding=pair(module.padding, 0),
        dilation=pair(module.dilation, 1),
        convolution=True,
    )


def _ungrouped(kernels: np.ndarray, groups: int) -> np.ndarray:
    """Kernels over all input channels; those of other groups do not exist."""
    if groups == 1:
        return kernels
    out, width = kernels.shape[0] // groups, kernels.shape[1]
    whole = np.zeros((kernels.shape[0], width * groups, *kernels.shape[2:]), bool)
    for group in range(groups):
        rows = slice(group * out, (group + 1) * out)
        whole[rows, group * width : (group + 1) * width] = kernels[rows]
    return whole


def _trace(
    network: nn.Module, synapses: Mapping[str, Synapses], example: Tensor
) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Input and output shapes of one sample at one time step, in the order in which layers run first."""
    names: dict[nn.Module, str] = {entry.module: name for name, entry in synapses.items()}
    sizes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        features = 1 if isinstance(module, nn.Linear) else len(module.kernel_size) + 1  # type: ignore[arg-type]
        sizes[names[module]] = (tuple(inputs[0].shape[-features:]), tuple(output.shape[-features:]))

    with torch.no_grad(), torch.random.fork_rng(), probing(network, lambda module: note if module in names else None):
        run(network, example, of=network)
    return sizes


def pooled_shape(size: int, before: tuple[int, int, int]) -> tuple[int, int, int] | None:
    """(C, H, W) of `size` inputs if they are the neurons of the layer before, pooled by a whole factor; else None."""
    channels, height, width = before
    for factor in range(1, max(height, width) + 1):
        shape = (channels, max(1, height // factor), max(1, width // factor))
        if prod(shape) == size:
            return shape
    return None
