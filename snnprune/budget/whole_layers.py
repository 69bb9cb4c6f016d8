"""Chips on which a layer is placed as a whole: one on a core, or all on one core."""

from collections.abc import Callable, Sequence
from math import ceil, log2, prod

import numpy as np

from .chip import Chip
from .limits import LIMITS
from .placement import Placement, cannot, counted
from .wiring import Wired, pooled_shape


def beyond_layers(layers: Sequence[Wired], chip: Chip) -> list[str]:
    """Which layers have a size, kernel, stride or padding that the chip does not have."""
    told = []
    for place, layer in enumerate(layers):
        channels, kernel = shape_of(layers, place)
        found = {
            "input_size": max(layer.inputs[1:]) if layer.convolution else max(kernel),
            "output_size": max(layer.outputs[1:]),
            "channels": max(channels, layer.outputs[0]),
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


def shape_of(layers: Sequence[Wired], place: int) -> tuple[int, tuple[int, int]]:
    """Input channels and kernel of a layer; a Linear layer after a convolution has its map as kernel."""
    layer = layers[place]
    if layer.convolution:
        return layer.inputs[0], layer.kernels.shape[2:]
    before = layers[place - 1].outputs if place else layer.inputs
    pooled = pooled_shape(prod(layer.inputs), before)
    return (layer.inputs[0], (1, 1)) if pooled is None else (pooled[0], pooled[1:])


def _words(layers: Sequence[Wired], place: int) -> dict[str, int]:
    """What a layer takes of a DYNAP-CNN core (sinabs, `dynapcnn_layer.memory_summary`)."""
    channels, kernel = shape_of(layers, place)
    outputs, height, width = layers[place].outputs
    return {
        "kernel_words": channels * 2 ** (_bits(prod(kernel)) + _bits(outputs)),
        "neuron_words": outputs * 2 ** (_bits(height) + _bits(width)),
        "bias_words": outputs,
    }


def _match(layers: Sequence[Wired], chip: Chip) -> tuple[dict[str, int], list[str]]:
    """A core for each layer, by a maximum matching; and why there is none for the others."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    needs = [_words(layers, place) for place in range(len(layers))]
    kinds = [kind for kind in ("kernel_words", "neuron_words", "bias_words") if kind in chip.limits]
    sizes = {kind: np.array(chip.limits[kind].value) for kind in kinds}
    possible = np.array([np.all([need[kind] <= sizes[kind] for kind in kinds], axis=0) for need in needs])
    cores = maximum_bipartite_matching(csr_matrix(possible), perm_type="column")
    placed = {layer.label: int(core) for layer, core in zip(layers, cores, strict=True) if core >= 0}
    return placed, [
        _too_large(layers, place, needs[place], sizes, possible)
        for place, layer in enumerate(layers)
        if layer.label not in placed
    ]


def _too_large(
    layers: Sequence[Wired], place: int, need: dict[str, int], sizes: dict[str, np.ndarray], possible: np.ndarray
) -> str:
    label = layers[place].label
    for kind, size in sizes.items():
        if need[kind] > size.max():
            what = LIMITS[kind].meaning.removesuffix(" on each core")
            return f"{label} takes {need[kind]:,} {what}, the largest core has {size.max():,}"
    if not possible[place].any():
        return f"{label} finds no core with enough words of all kinds at once"
    return f"{label} finds no core that is free: the {possible[place].sum()} that it fits on are taken by other layers"


def spare_channels(layers: Sequence[Wired], place: int, chip: Chip) -> int:
    """How many output channels a layer must lose to halve its kernels, where those are too large for any core; or 0."""
    words, outputs = chip.limits.get("kernel_words"), layers[place].outputs[0]
    if words is None or outputs < 2 or _words(layers, place)["kernel_words"] <= max(words.value):
        return 0
    return outputs - 2 ** (_bits(outputs) - 1)


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


def _bits(number: int) -> int:
    return ceil(log2(number)) if number > 1 else 0


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
        return cannot(chip, broken)
    reason = f"takes {len(placed)} of {len(chip.limits['kernel_words'].value)} cores, one for each layer"
    return Placement(chip=chip, verdict="fits", reasons=(reason,), cores=len(placed), chips=1, by_layer=placed)
