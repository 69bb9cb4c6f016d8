"""Load of each core while the network runs: the busiest one decides how long a time step takes."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..operations import Operations
from ..wiring import Wired
from .result import Placement

# Yik et al. 2025, arXiv 2511.21549: maxima of cores, not totals, decide time and energy.
MODEL = (
    "a layer's operations and spikes are divided among its cores as its connections and input axons are, on average "
    "over samples and time steps; cores work side by side, each on one operation after another, so that a time step "
    "takes as long as the operations of the busiest core, and imbalance (busiest over mean) is how much longer than "
    "with equal cores"
)


def core_loads(layers: Sequence[Wired], placement: Placement, operations: Operations) -> dict[str, Any] | None:
    """Operations, spikes and memory of the busiest core at a time step, beside the mean and the total of all cores.

    Args:
        layers: that were placed.
        placement: of `fit`.
        operations: of `count_operations` on real inputs.

    Returns:
        "synaptic_operations" and "spikes_received" of a time step and "memory_bits", each with "max", "mean" and
        "total"; "imbalance"; the "model", and all in a "text". None for a chip whose placement has no tiles.
    """
    if not placement.tiles:
        return None
    by_name = {layer.name: layer for layer in layers}
    work = {layer.name: _of_step(layer, layers, operations) for layer in layers}
    alone: list[np.ndarray] = []  # [cores of the tile, 3]
    for tile in placement.tiles:
        layer = by_name[tile.layer]
        order = list(placement.order.get(tile.layer, range(layer.outputs[0])))[tile.first : tile.last]
        here = int(layer.kernels[order].sum()) / max(1, int(layer.kernels.sum()))
        steps, spikes = work[tile.layer]
        areas = _areas(layer, tile.block)
        axons = tile.load.input_axons / prod(layer.inputs)
        rows = np.stack([steps * here * areas, np.full(len(areas), spikes * axons)], 1)
        alone.append(np.column_stack([rows, np.full(len(areas), tile.load.synapse_bits)]))
    together = {index for group in placement.shared for index in group}
    cores = [rows for index, rows in enumerate(alone) if index not in together]
    cores += [sum(alone[index] for index in group) for group in placement.shared]  # type: ignore[misc]
    load = np.concatenate(cores)
    found: dict[str, Any] = {}
    for number, name in enumerate(("synaptic_operations", "spikes_received", "memory_bits")):
        values = load[:, number]
        found[name] = {"max": float(values.max()), "mean": float(values.mean()), "total": float(values.sum())}
    most, mean = (found["synaptic_operations"][key] for key in ("max", "mean"))
    imbalance = most / mean if mean else 1.0
    text = (
        f"busiest of {placement.cores:,} cores: {most:,.0f} operations a time step, {imbalance:.1f} times the mean; at "
        f"most {found['spikes_received']['max']:,.0f} spikes received, {found['memory_bits']['max'] / 8192:,.1f} KiB"
    )
    return {**found, "imbalance": imbalance, "model": MODEL, "text": text}


def _of_step(layer: Wired, layers: Sequence[Wired], operations: Operations) -> tuple[float, float]:
    """Operations of a layer, and spikes that arrive at it, at a time step on average.

    A tensor that several layers use shares its operations among them as their connections.
    """
    steps = spikes = 0.0
    for name, parts in layer.parts.items():
        counted = operations.layers.get(name)
        if counted is None:
            continue
        share = _connections(layer, name) / max(1, sum(_connections(one, name) for one in layers))
        times = max(1, len(counted.per_step))
        steps += counted.mean * share / times
        spikes += counted.events * share / times * len(parts)
    return steps, spikes


def _connections(layer: Wired, name: str) -> int:
    parts = layer.parts.get(name, [])
    return sum(int(layer.kernels[:, part].sum()) for part in parts) * prod(layer.outputs[1:])


def _areas(layer: Wired, block: tuple[int, int]) -> np.ndarray:
    """Share of the positions of a layer that each of its patches holds."""
    sides = [
        np.minimum(np.arange(step, size + step, step), size) - np.arange(0, size, step)
        for size, step in zip(layer.outputs[1:], block, strict=True)
    ]
    return np.outer(*sides).ravel() / prod(layer.outputs[1:])
