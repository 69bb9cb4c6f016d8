"""Chips on which a layer is placed as a whole: one on a core, or all on one core."""

from collections.abc import Callable, Sequence
from math import ceil, prod

import numpy as np

from ..chip import Chip
from ..limits import LIMITS
from ..wiring import Wired
from .channels import KINDS, bits_for, channels_in_use, match, needs, shape_of
from .result import Placement, cannot, counted

# A kernel is stored whole, but for channels that nobody needs.
_TAKEN_OUT = ("channels without a synapse on one side are taken out of the network first",)


def beyond_layers(layers: Sequence[Wired], chip: Chip) -> list[str]:
    """Which layers have a size, kernel, stride or padding that the chip does not have."""
    told = []
    used = channels_in_use(layers)
    for place, layer in enumerate(layers):
        _, kernel = shape_of(layers, place)
        found = {
            "input_size": max(layer.inputs[1:]) if layer.convolution else max(kernel),
            "output_size": max(layer.outputs[1:]),
            "channels": max(used[place : place + 2]),
            "kernel_size": max(kernel),
            "padding": max(layer.padding),
        }
        if place == len(layers) - 1:
            found["classes"] = layer.outputs[0]
        for name, value in found.items():
            limit = chip.limit(name)
            if limit is not None and value > limit:
                told.append(f"{layer.label} has {value:,} as {LIMITS[name].meaning}, the limit is {limit:,}")
        listed = {"strides": layer.stride, "kernel_sizes": kernel if layer.convolution else ()}
        for name, values in listed.items():
            allowed = chip.limits[name].value if name in chip.limits else values
            if odd := [value for value in values if value not in allowed]:
                told.append(
                    f"{layer.label} has {odd[0]} as {LIMITS[name].meaning}, allowed are {', '.join(map(str, allowed))}"
                )
    return told


def _match(layers: Sequence[Wired], chip: Chip) -> tuple[dict[str, int], list[str]]:
    """A core for each layer, by a maximum matching; and why there is none for the others."""
    needed = needs(layers, channels_in_use(layers))
    cores, possible = match(needed, chip)
    placed = {layer.label: int(core) for layer, core in zip(layers, cores, strict=True) if core >= 0}
    return placed, [
        _too_large(layer.label, needed[place], chip, possible[place])
        for place, layer in enumerate(layers)
        if layer.label not in placed
    ]


def _too_large(label: str, need: dict[str, int], chip: Chip, possible: np.ndarray) -> str:
    for kind in KINDS:
        largest = max(chip.limits[kind].value) if kind in chip.limits else need[kind]
        if need[kind] > largest:
            what = LIMITS[kind].meaning.removesuffix(" on each core")
            return f"{label} takes {need[kind]:,} {what}, the largest core has {largest:,}"
    if not possible.any():
        return f"{label} finds no core with enough words of all kinds at once"
    return f"{label} finds no core that is free: the {possible.sum()} that it fits on are taken by other layers"


def spare_channels(layers: Sequence[Wired], chip: Chip) -> list[int]:
    """How many output channels each layer must lose to halve its kernels, 0 where no core is too small for them."""
    if "kernel_words" not in chip.limits:
        return [0] * len(layers)
    channels, largest = channels_in_use(layers), max(chip.limits["kernel_words"].value)
    return [
        outputs - 2 ** (bits_for(outputs) - 1) if outputs > 1 and need["kernel_words"] > largest else 0
        for outputs, need in zip(channels[1:], needs(layers, channels), strict=True)
    ]


def _dense_cores(layers: Sequence[Wired], chip: Chip, bits: int) -> dict[str, int]:
    """Cores for each layer where all of its weights are stored, whatever is zero."""
    limit = chip.limit("core_synapse_bits")
    assert limit is not None
    return {layer.label: max(1, ceil(layer.kernels.size * bits / limit)) for layer in layers}


def needs_of_core(layers: Sequence[Wired], chip: Chip) -> dict[str, int]:
    """What a network takes of a chip that is one core, limit by limit."""
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
    """All neurons on the chip's one core."""
    needs = [
        (LIMITS[name].meaning, value, chip.limits[name].value) for name, value in needs_of_core(layers, chip).items()
    ]
    if broken := [f"{value:,} {words}, the limit is {limit:,}" for words, value, limit in needs if value > limit]:
        return cannot(chip, broken)
    told = ", ".join(f"{value:,} of {limit:,} {words}" for words, value, limit in needs)
    by_layer = {layer.label: 0 for layer in layers}
    return Placement(chip=chip, verdict="fits", reasons=(f"takes {told}",), cores=1, chips=1, by_layer=by_layer)


def place_layers(layers: Sequence[Wired], chip: Chip, bits: int) -> Placement:
    """A core for each layer; or as many as its weights take, where that is all that is known."""
    if "kernel_words" not in chip.limits:
        by_layer = _dense_cores(layers, chip, bits)
        return Placement(chip=chip, **counted(chip, sum(by_layer.values())), by_layer=by_layer)
    placed, broken = _match(layers, chip)
    if broken:
        return cannot(chip, broken, _TAKEN_OUT)
    reason = f"takes {len(placed)} of {len(chip.limits['kernel_words'].value)} cores, one for each layer"
    where = {"cores": len(placed), "chips": 1, "by_layer": placed}
    return Placement(chip=chip, verdict="fits", reasons=(reason,), **where, assumptions=_TAKEN_OUT)
