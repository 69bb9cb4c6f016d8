"""Chips that are one core."""

from collections.abc import Callable, Sequence
from math import ceil, prod

from ..chip import Chip
from ..limits import LIMITS
from ..wiring import Wired
from .result import Placement, cannot


def needs_of_core(layers: Sequence[Wired], chip: Chip) -> dict[str, int]:
    """Needs of a network on a chip that is one core, limit by limit."""
    hidden = layers[:-1]
    first, last = layers[0], layers[-1]
    inner = sum(_connections(layer) for layer in layers[1:-1])
    spikes = sum(_connections(layer) for layer in layers[1:])
    count: dict[str, Callable[[], int]] = {
        "input_neurons": lambda: prod(first.inputs),
        "hidden_neurons": lambda: sum(layer.neurons for layer in hidden),
        "output_neurons": lambda: last.neurons,
        "input_targets": lambda: int((first.fan_in > 0).sum()) * prod(first.outputs[1:]) if hidden else 0,
        "output_sources": lambda: int((last.kernels.sum((0, 2, 3)) > 0).sum()) * prod(last.inputs[1:]) if hidden else 0,
        "recurrent_synapses": lambda: inner,
        "mean_fan_out": lambda: ceil(spikes / (chip.limit("hidden_neurons") or 1)),
    }
    return {name: value() for name, value in count.items() if name in chip.limits}


def _connections(layer: Wired) -> int:
    return int(layer.kernels.sum()) * prod(layer.outputs[1:])


def place_on_one_core(layers: Sequence[Wired], chip: Chip) -> Placement:
    """Place all neurons on the chip's one core."""
    needs = [
        (LIMITS[name].meaning, value, chip.limits[name].value) for name, value in needs_of_core(layers, chip).items()
    ]
    if broken := [f"{value:,} {words}, the limit is {limit:,}" for words, value, limit in needs if value > limit]:
        return cannot(chip, broken)
    taken = ", ".join(f"{value:,} of {limit:,} {words}" for words, value, limit in needs)
    by_layer = {layer.label: 0 for layer in layers}
    return Placement(chip=chip, verdict="fits", reasons=(f"takes {taken}",), cores=1, chips=1, by_layer=by_layer)
