"""Chips that are one core."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from ..chip import Chip
from ..limits import LIMITS
from ..wiring import Wired
from .fans import consumers, spread
from .result import Placement, assumptions, cannot


@dataclass(frozen=True)
class Parts:
    """Populations of a network as a chip of one core has them.

    Attributes:
        layers: all of them.
        hidden: those that others read.
        outputs: those that none reads.
    """

    layers: Sequence[Wired]
    hidden: Sequence[Wired]
    outputs: Sequence[Wired]

    def _from_outside(self, layer: Wired) -> np.ndarray:
        """Which input channels of a layer are inputs of the network."""
        found = np.ones(layer.inputs[0], bool)
        names = {one.population for one in self.layers}
        for source in layer.sources:
            if source.population in names:
                found[source.first : source.last] = False
        return found

    def inputs(self) -> int:
        """Number of inputs of the network; what several projections read is counted for the largest one."""
        sizes: dict[str, int] = {}
        for layer in self.layers:
            outside = self._from_outside(layer)
            given = [source for source in layer.sources if outside[source.first]]
            parts = [(source.population, source.last - source.first) for source in given]
            for name, channels in parts or [("", int(outside.sum()))]:
                sizes[name] = max(sizes.get(name, 0), channels * prod(layer.inputs[1:]))
        return sum(sizes.values())

    def reached(self) -> np.ndarray:
        """Connections from inputs of the network to each hidden neuron."""
        return np.concatenate([_spread_out(layer, self._from_outside(layer)) for layer in self.hidden] or [_EMPTY])

    def heard(self) -> np.ndarray:
        """Connections from each hidden neuron to outputs."""
        last = {layer.population for layer in self.outputs}
        found = [_EMPTY]
        for layer in self.hidden:
            total = np.zeros(layer.outputs, np.int64)
            for one, source in consumers(self.layers)[layer.population]:
                if one.population in last:
                    each = one.kernels[:, source.first : source.last].sum((0, 2, 3))[:, None, None]
                    share = each * (prod(one.outputs[1:]) / prod(one.inputs[1:]))  # on average over its positions
                    values = np.broadcast_to(np.ceil(share).astype(np.int64), (len(each), *one.inputs[1:]))
                    total += spread(values, source, layer.outputs)
            found.append(total.ravel())
        return np.concatenate(found)

    def recurrent(self) -> int:
        """Connections between hidden neurons."""
        return sum(self._inside(layer) for layer in self.hidden)

    def sent(self) -> int:
        """Connections that neurons send to."""
        return sum(self._inside(layer) for layer in self.layers)

    def _inside(self, layer: Wired) -> int:
        inside = ~self._from_outside(layer)
        return int(layer.kernels.sum((0, 2, 3))[inside].sum()) * prod(layer.outputs[1:])


_EMPTY = np.zeros(0, np.int64)


def parts_of(layers: Sequence[Wired]) -> Parts:
    """Hidden and output populations."""
    heard = consumers(layers)
    outputs = [layer for layer in layers if not any(one is not layer for one, _ in heard[layer.population])]
    names = {layer.population for layer in outputs}
    return Parts(layers, [layer for layer in layers if layer.population not in names], outputs)


def _spread_out(layer: Wired, channels: np.ndarray) -> np.ndarray:
    counts = layer.kernels[:, channels].sum((1, 2, 3))
    return np.repeat(counts, prod(layer.outputs[1:]))


def needs_of_core(layers: Sequence[Wired], chip: Chip) -> dict[str, int]:
    """Needs of a network on a chip that is one core, limit by limit."""
    parts = parts_of(layers)
    count: dict[str, Callable[[], int]] = {
        "input_neurons": parts.inputs,
        "hidden_neurons": lambda: sum(layer.neurons for layer in parts.hidden),
        "output_neurons": lambda: sum(layer.neurons for layer in parts.outputs),
        "input_targets": lambda: int((parts.reached() > 0).sum()),
        "output_sources": lambda: int((parts.heard() > 0).sum()),
        "recurrent_synapses": parts.recurrent,
        "mean_fan_out": lambda: ceil(parts.sent() / (chip.limit("hidden_neurons") or 1)),
    }
    return {name: value() for name, value in count.items() if name in chip.limits}


def place_on_one_core(layers: Sequence[Wired], chip: Chip) -> Placement:
    """Place all neurons on the chip's one core."""
    assumed = assumptions(layers)
    needs = [
        (LIMITS[name].meaning, value, chip.limits[name].value) for name, value in needs_of_core(layers, chip).items()
    ]
    if broken := [f"{value:,} {words}, the limit is {limit:,}" for words, value, limit in needs if value > limit]:
        return cannot(chip, broken, assumed)
    taken = ", ".join(f"{value:,} of {limit:,} {words}" for words, value, limit in needs)
    by_layer = {layer.label: 0 for layer in layers}
    reasons = (f"takes {taken}",)
    return Placement(
        chip=chip, verdict="fits", reasons=reasons, cores=1, chips=1, by_layer=by_layer, assumptions=assumed
    )
