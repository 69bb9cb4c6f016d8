"""Inputs and targets of neurons, over all projections."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..wiring import Source, Wired


class Fan(NamedTuple):
    """Counts of inputs or targets of the neurons of a population.

    Attributes:
        limit: "fan_in" or "fan_out".
        counts: of each neuron; of a convolution's fan-in those of each channel.
        of_each: how many neurons have each of these counts.
        who: name of what has the most, in words.
    """

    limit: str
    counts: np.ndarray
    of_each: int
    who: str

    def beyond(self, limit: int) -> int:
        """Number of connections above a limit."""
        return int(np.maximum(self.counts - limit, 0).sum()) * self.of_each

    @property
    def total(self) -> int:
        """Number of connections."""
        return int(self.counts.sum()) * self.of_each


def consumers(layers: Sequence[Wired]) -> dict[str, list[tuple[Wired, Source]]]:
    """Population -> layers that read it, with the part of them that does."""
    found: dict[str, list[tuple[Wired, Source]]] = {layer.population: [] for layer in layers}
    for layer in layers:
        for source in layer.sources:
            if source.population in found:
                found[source.population].append((layer, source))
    return found


def fan_ins(layers: Sequence[Wired]) -> list[Fan]:
    """Inputs of the neurons of each layer."""
    found = []
    for layer in layers:
        counts = layer.fan_in
        each = int(np.prod(layer.outputs[1:]))
        found.append(Fan("fan_in", counts, each, f"neuron {int(counts.argmax())} of {layer.label}"))
    return found


def fan_outs(layers: Sequence[Wired]) -> list[Fan]:
    """Targets of the neurons of each population that others read; inputs of the network are no neurons."""
    found = []
    for layer in layers:
        heard = consumers(layers)[layer.population]
        if not heard:
            continue
        total = np.zeros(layer.outputs, np.int64)
        for one, source in heard:
            each = one.fan_out[source.first : source.last, None, None]
            total += spread(np.broadcast_to(each, (len(each), *one.inputs[1:])), source, layer.outputs)
        if len(heard) == 1:
            one, source = heard[0]
            here = one.fan_out[source.first : source.last]
            who = f"input {source.first + int(here.argmax())} of {one.label}"
        else:
            who = f"neuron {int(total.argmax()) // int(np.prod(layer.outputs[1:]))} of {layer.label}"
        found.append(Fan("fan_out", total, 1, who))
    return found


def spread(values: np.ndarray, source: Source, shape: tuple[int, int, int]) -> np.ndarray:
    """Values of inputs of a layer, [channels, H, W], summed for each neuron of the population that they come from.

    Where it is not known which neuron leads to which input, each counts as the one that has most.
    """
    if source.read is None:
        return np.full(shape, values.max(initial=0))
    maps = values.reshape(source.read)
    for axis, windows in ((1, source.rows), (2, source.columns)):
        if windows != tuple((index, index) for index in range(shape[axis])):
            maps = _widened(maps, axis, windows, shape[axis])
    if not source.channels:
        return maps
    found = np.zeros(shape, np.int64)
    found[list(source.channels)] = maps
    return found


def _widened(maps: np.ndarray, axis: int, windows: tuple[tuple[int, int], ...], size: int) -> np.ndarray:
    """Values along an axis, each added to all that its window holds."""
    shape = list(maps.shape)
    shape[axis] = size
    found = np.zeros(shape, np.int64)
    there, here = np.moveaxis(found, axis, 0), np.moveaxis(maps, axis, 0)
    for index, (first, last) in enumerate(windows):
        there[first : last + 1] += here[index]
    return found
