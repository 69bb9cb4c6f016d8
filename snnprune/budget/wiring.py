"""Populations of a network as a chip has them: which inputs lead to which neurons."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from torch import nn

from ..connectivity import Connectivity
from ..errors import InputError
from ..graph.record import recorded_graph
from ..options import checked
from ..probe import Axes
from ..synapses import Exclude, find_synapses, unpruned


@dataclass(frozen=True, kw_only=True)
class Source:
    """A population whose values a part of the input channels of a layer are.

    Attributes:
        population: its name.
        first: the first input channel.
        last: one more than the last.
        shape: (C, H, W) of the population; empty if it is not known.
        read: (c, h, w) as which the values of these input channels are read from it, pooled or with a stride; None if
            it is not known which unit leads where.
        channels: channel of the population for each of the c channels; empty: all, in their order.
        rows: the first and the last row of the population that lead to each of the h rows.
        columns: the first and the last column that lead to each of the w columns.
        delay: time steps between the population and the layer.
        parameter: name of the tensor of weights; None for a connection without weights.
    """

    population: str
    first: int
    last: int
    shape: tuple[int, ...] = ()
    read: tuple[int, int, int] | None = None
    channels: tuple[int, ...] = ()
    rows: tuple[tuple[int, int], ...] = ()
    columns: tuple[tuple[int, int], ...] = ()
    delay: int = 0
    parameter: str | None = None


@dataclass(frozen=True, kw_only=True)
class Wired:
    """One population of neurons and all synapses that lead to it.

    Everything has two spatial axes; those of a plain matrix are 1 x 1, those of tokens (tokens, 1). Several projections
    into the population, and several populations that one reads, lie beside each other along the input channels.

    Attributes:
        name: of the tensor of synapses; of several, joined by " + ".
        kernels: which exist, bool [C_out, C_in, kernel height, kernel width], also for groups; on the CPU.
        inputs: (C_in, H, W) of what one sample sends to the population at a time step.
        outputs: (C_out, H, W) of its neurons.
        stride, padding, dilation: (height, width).
        convolution: whether one kernel serves many positions.
        population: its name; that of the tensor if it is left out.
        sources: where the input channels come from; empty: from the layer before it.
        virtual: whether it is a sum that no neuron reads, and has a unit for each value of its own.
    """

    name: str
    kernels: np.ndarray
    inputs: tuple[int, int, int]
    outputs: tuple[int, int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    convolution: bool = False
    population: str = ""
    sources: tuple[Source, ...] = ()
    virtual: bool = False

    def __post_init__(self) -> None:
        if not self.population:
            object.__setattr__(self, "population", self.name)

    @property
    def parts(self) -> dict[str, list[slice]]:
        """Input channels that each tensor of weights serves."""
        found: dict[str, list[slice]] = {}
        for source in self.sources:
            if source.parameter is not None:
                found.setdefault(source.parameter, []).append(slice(source.first, source.last))
        return found or {self.name: [slice(0, self.kernels.shape[1])]}

    @property
    def connections(self) -> int:
        """Number of its connections; borders ignored."""
        return int(self.kernels.sum()) * prod(self.outputs[1:])

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return prod(self.outputs)

    @property
    def label(self) -> str:
        """Its name without ".weight"."""
        return " + ".join(part.removesuffix(".weight") for part in self.name.split(" + "))

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


def read_of(source: Source, read: tuple[int, int, int]) -> Source:
    """Return a source that is read whole, pooled by whole factors to `read` (c, h, w)."""
    windows = []
    for size, small in zip(source.shape[1:], read[1:], strict=True):
        ends = [-(-size * (index + 1) // small) for index in range(small)]
        windows.append(tuple(zip([0, *ends], (end - 1 for end in ends), strict=False)))
    return replace(source, read=read, rows=windows[0], columns=windows[1])


def linked(layers: Sequence[Wired]) -> list[Wired]:
    """Return the layers with their sources; those that have none come from the layer before."""
    found: list[Wired] = []
    for layer in layers:
        if not layer.sources and found:
            before = found[-1]
            pooled = pooled_shape(prod(layer.inputs), before.outputs)
            source = Source(
                population=before.population,
                first=0,
                last=layer.inputs[0],
                shape=before.outputs,
                parameter=layer.name,
            )
            layer = replace(layer, sources=(source if pooled is None else read_of(source, pooled),))
        found.append(layer)
    return found


@checked
def wire(
    network: nn.Module,
    example: Any,
    *,
    connectivity: Connectivity | None = None,
    exclude: Exclude = (),
    layout: Axes = None,
) -> list[Wired]:
    """The populations of a network that synapses lead to, in the order in which they are computed.

    Args:
        network: left as it was.
        example: one input batch, as the network takes it.
        connectivity: which synapses exist; None: those whose weight is not 0.
        exclude: layers that are not to be on the chip.
        layout: axes of the example, as in `snnprune.graph.record`; None: found.

    Raises:
        InputError: a connectivity of another network, a layer that does not run, or a connection that no chip here can
            express, with the populations between which it lies.
    """
    from .merging import populations_of

    synapses = find_synapses(network, exclude=exclude)
    present = connectivity if connectivity is not None else Connectivity.from_network(network, exclude=exclude)
    present.check(network)
    recorded = recorded_graph(network, example, layout, names=synapses, mixed=layout is None)
    if idle := recorded.graph.unused:
        raise InputError(f"{', '.join(idle)} did not run on the example: exclude what is not to be on the chip")
    left_out = {name for name, entry in unpruned(network, exclude=exclude).items() if entry.reason == "excluded"}
    return populations_of(network, recorded, present, left_out)


def pooled_shape(size: int, before: tuple[int, int, int]) -> tuple[int, int, int] | None:
    """(C, H, W) of `size` inputs if they are the neurons of the layer before, pooled by a whole factor; else None."""
    channels, height, width = before
    for factor in range(1, max(height, width) + 1):
        shape = (channels, max(1, height // factor), max(1, width // factor))
        if prod(shape) == size:
            return shape
    return None
