"""Chips with a layer a core."""

from collections.abc import Sequence
from math import ceil

import numpy as np

from ..chip import Chip
from ..limits import LIMITS
from ..wiring import Wired
from .channels import KINDS, bits_for, channels_in_use, match, needs, shape_of
from .result import Placement, cannot, counted

# Kernels are stored whole, but for channels that are not in use.
_TAKEN_OUT = ("channels without a synapse on one side are taken out of the network first",)


def beyond_layers(layers: Sequence[Wired], chip: Chip) -> list[str]:
    """Layers with a size, kernel, stride or padding that the chip does not support; none where it is no such chip."""
    if chip.placement == "layers" and (forks := beyond_chains(layers, chip)):
        return forks
    broken = []
    used = channels_in_use(layers)
    for index, layer in enumerate(layers):
        _, kernel = shape_of(layers, index)
        found = {
            "input_size": max(layer.inputs[1:]) if layer.convolution else max(kernel),
            "output_size": max(layer.outputs[1:]),
            "channels": max(used[index : index + 2]),
            "kernel_size": max(kernel),
            "padding": max(layer.padding),
        }
        if index == len(layers) - 1:
            found["classes"] = layer.outputs[0]
        for name, value in found.items():
            limit = chip.limit(name)
            if limit is not None and value > limit:
                broken.append(f"{layer.label} has {value:,} as {LIMITS[name].meaning}, the limit is {limit:,}")
        listed = {"strides": layer.stride, "kernel_sizes": kernel if layer.convolution else ()}
        for name, values in listed.items():
            allowed = chip.limits[name].value if name in chip.limits else values
            if odd := [value for value in values if value not in allowed]:
                broken.append(
                    f"{layer.label} has {odd[0]} as {LIMITS[name].meaning}, allowed are {', '.join(map(str, allowed))}"
                )
    return broken


def beyond_chains(layers: Sequence[Wired], chip: Chip) -> list[str]:
    """What makes a network more than a chain, in which each layer reads the one before it and no other."""
    broken = []
    for index, layer in enumerate(layers):
        before = layers[index - 1].population if index else ""
        names = list(dict.fromkeys(source.population for source in layer.sources)) or [before]
        if len(layer.sources) > 1:
            reads = f"reads {', '.join(names)} through {len(layer.sources)} connections"
        elif layer.sources and layer.sources[0].parameter is None:
            reads = f"reads {names[0]} without weights"
        elif index and names != [before]:
            reads = f"reads {names[0]} and not {before}, the layer before it"
        else:
            continue
        broken.append(f"{layer.label} {reads}: the placement on {chip.name} is a chain, each layer after one other")
    return broken


def _match(layers: Sequence[Wired], chip: Chip) -> tuple[dict[str, int], list[str]]:
    """A core for each layer, by a maximum matching; and the reasons why others have none."""
    needed = needs(layers, channels_in_use(layers))
    cores, possible = match(needed, chip)
    placed = {layer.label: int(core) for layer, core in zip(layers, cores, strict=True) if core >= 0}
    return placed, [
        _too_large(layer.label, needed[index], chip, possible[index])
        for index, layer in enumerate(layers)
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
    """Number of output channels that each layer must lose to halve its kernels; 0 if they fit on a core."""
    if "kernel_words" not in chip.limits:
        return [0] * len(layers)
    channels, largest = channels_in_use(layers), max(chip.limits["kernel_words"].value)
    return [
        outputs - 2 ** (bits_for(outputs) - 1) if outputs > 1 and need["kernel_words"] > largest else 0
        for outputs, need in zip(channels[1:], needs(layers, channels), strict=True)
    ]


def _dense_cores(layers: Sequence[Wired], chip: Chip, bits: int) -> dict[str, int]:
    """Number of cores of each layer on a chip that stores all weights, zeros included."""
    limit = chip.limit("core_synapse_bits")
    assert limit is not None
    return {layer.label: max(1, ceil(layer.kernels.size * bits / limit)) for layer in layers}


def place_layers(layers: Sequence[Wired], chip: Chip, bits: int) -> Placement:
    """Place each layer on a core; or on as many as its weights take, if no other limit is known."""
    if "kernel_words" not in chip.limits:
        by_layer = _dense_cores(layers, chip, bits)
        return Placement(chip=chip, **counted(chip, sum(by_layer.values())), by_layer=by_layer)
    placed, broken = _match(layers, chip)
    if broken:
        return cannot(chip, broken, _TAKEN_OUT)
    reason = f"takes {len(placed)} of {len(chip.limits['kernel_words'].value)} cores, one for each layer"
    where = {"cores": len(placed), "chips": 1, "by_layer": placed}
    return Placement(chip=chip, verdict="fits", reasons=(reason,), **where, assumptions=_TAKEN_OUT)
