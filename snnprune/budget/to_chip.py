"""Pruning to a chip: an allocation that gives no neuron more than the chip can hold."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from ..allocation.common import Allocation, Geometries, Scores, count_of, ranks_in_rows, to_connectivity
from ..connectivity import Connectivity
from ..errors import InputError
from ..layout import from_columns, from_rows, to_columns, to_rows
from ..options import Share, checked
from ..selection import keep_largest
from ..synapses import Geometry
from .chip import Chip
from .placement.channels import channels_that_fit
from .placement.fans import consumers
from .placement.layers import beyond_chains
from .placement.single import parts_of
from .wiring import Source, Wired, linked

# (scores, geometry) -> rank of each synapse among those that share a limit, 0 for the largest score.
Rank = Callable[[Tensor, Geometry], Tensor]


class Cap(NamedTuple):
    """A limit of a chip: its layers, the ranking of synapses there, and the number that is allowed.

    `listener` is the layer after it, which needs no synapses from channels beyond the limit. Ranks are those in each
    tensor, or `together` among all of them, which then lead to the same neurons, or come from the same.
    """

    names: Collection[str]
    rank: Rank
    allowed: int
    listener: str | None = None
    together: bool = False


@checked
def to_chip(layers: Sequence[Wired], chip: Chip, *, density: Share) -> Allocation:
    """An allocation for a chip: the globally largest scores, as far as no neuron gets more than the chip allows.

    What is limited: inputs and targets of a neuron, different inputs of a core; on chips that are one core the synapses
    between its neurons, the neurons that inputs reach, and those that outputs hear; on chips that store whole kernels
    the output channels of a layer, at a power of two. A gradual method may be above the limits on its way, as long as
    enough is left that keeps them; at the target density they hold.

    Args:
        layers: of `wire`, for any connectivity of the network.
        chip: of `find_chip`.
        density: the target, in (0, 1]. Less is kept where the limits do not allow it.

    Raises:
        InputError: a chip without limits for neurons or channels, or one for which no number of channels is small.
    """
    layers = linked(layers)
    caps = _caps(layers, chip)
    if not caps and "kernel_words" not in chip.limits:
        raise InputError(
            f"{chip.name} has no limit that single neurons or channels must keep: prune without it, and look if it fits"
        )

    def allocate(scores: Scores, density_now: float, geometries: Geometries) -> Connectivity:
        """Keep the limits at the target density; exceed them while a gradual method is still far above it."""
        count, wanted = count_of(scores, density_now), count_of(scores, density)
        plain = {name: score.detach() for name, score in scores.items()}
        levels = _levels(plain, geometries, caps)
        strict = _only(plain, levels)
        allowed = _finite(strict)
        if count <= allowed:
            return to_connectivity(scores, keep_largest(strict, count))
        if count <= wanted:
            return to_connectivity(scores, {name: score > -math.inf for name, score in strict.items()})
        kept = keep_largest(plain, count)
        best = {name: torch.where(kept[name], score, -math.inf) for name, score in plain.items()}
        if _finite(_only(best, _levels(best, geometries, caps))) < min(wanted, allowed):
            # Too few of these could stay in the end: synapses within the limits come first.
            ordered = {name: torch.where(score > -math.inf, -levels[name], -math.inf) for name, score in plain.items()}
            kept = keep_largest(ordered, count)
        return to_connectivity(scores, kept)

    return allocate


def _caps(layers: Sequence[Wired], chip: Chip) -> list[Cap]:
    """Limits of the chip for these layers."""
    parts = parts_of(layers)
    hidden = {layer.population for layer in parts.hidden}
    outside = {layer.name: _outside(layer, layers) for layer in layers}
    caps: list[Cap] = []
    for layer in layers:
        for name in ("fan_in", "core_input_axons"):
            # A neuron must find all of its inputs on one core; those of a patch of positions are more than its own.
            if (limit := chip.limit(name)) is not None and not (name == "core_input_axons" and layer.convolution):
                caps += _among(_tensors(layer.sources, layer), _among_inputs, limit, _fixed(layer))
    if (limit := chip.limit("fan_out")) is not None:
        for layer in layers:
            heard = consumers(layers)[layer.population]
            sources = [source for _, source in heard]
            fixed = sum(source.parameter is None for source in sources)
            caps += _among(_tensors(sources), _among_targets, limit, fixed)
    if (limit := chip.limit("input_targets")) is not None:
        names = [name for layer in layers if layer.population in hidden for name in outside[layer.name]]
        caps += [Cap([name], _reached, max(1, limit // len(names))) for name in names]
    if (limit := chip.limit("output_sources")) is not None:
        last = [layer for layer in parts.outputs for _ in layer.parts]
        names = [name for layer in parts.outputs for name in layer.parts]
        caps += [Cap([name], _heard, max(1, limit // len(last))) for name in dict.fromkeys(names)]
    mean, most = chip.limit("mean_fan_out"), chip.limit("hidden_neurons")
    inner = [(layer, name) for layer in layers for name in layer.parts if name not in outside[layer.name]]
    if mean is not None and most is not None and inner:
        # The limit is on the mean over all neurons: its total is divided among the layers by their connections.
        size = [_dense(layer, name) for layer, name in inner]
        for (layer, name), mine in zip(inner, size, strict=True):
            uses = len(layer.parts[name]) * prod(layer.outputs[1:])
            caps.append(Cap([name], _among_all, max(1, mean * most * mine // sum(size) // uses)))
    if "kernel_words" in chip.limits:
        caps += _caps_of_channels(layers, chip)
    return caps


def _outside(layer: Wired, layers: Sequence[Wired]) -> list[str]:
    """Tensors of a layer that read inputs of the network."""
    names = {one.population for one in layers}
    if not layer.sources:
        return [layer.name]
    found = [source.parameter for source in layer.sources if source.population not in names]
    return [name for name in dict.fromkeys(found) if name is not None]


def _tensors(sources: Sequence[Source], layer: Wired | None = None) -> dict[str, int]:
    """Tensors of these connections, and how often each is there."""
    found: dict[str, int] = {}
    for source in sources:
        if source.parameter is not None:
            found[source.parameter] = found.get(source.parameter, 0) + 1
    return found or ({layer.name: 1} if layer is not None and not sources else {})


def _fixed(layer: Wired) -> int:
    """Inputs of a neuron that no pruning takes away."""
    return sum(source.parameter is None for source in layer.sources)


def _among(tensors: Mapping[str, int], rank: Rank, limit: int, fixed: int) -> list[Cap]:
    """A limit for all tensors that lead to the same neurons, or come from them."""
    if not tensors:
        return []
    allowed = max(1, (limit - fixed) // max(tensors.values()))
    return [Cap(tuple(tensors), rank, allowed, together=len(tensors) > 1)]


def _dense(layer: Wired, name: str) -> int:
    return (
        sum(part.stop - part.start for part in layer.parts[name]) * prod(layer.outputs) * prod(layer.kernels.shape[2:])
    )


def _caps_of_channels(layers: Sequence[Wired], chip: Chip) -> list[Cap]:
    """Limits on the number of output channels."""
    if forks := beyond_chains(layers, chip):
        raise InputError(forks[0])
    outputs = channels_that_fit(layers, chip)
    if outputs is None:
        raise InputError(f"no number of channels of this network is small enough for {chip.name}: make it smaller")
    return [
        Cap(list(layer.parts), _reached, count, next(iter(after.parts)))
        for layer, after, count in zip(layers, layers[1:], outputs, strict=False)
        if count < layer.outputs[0]
    ]


def _levels(scores: Scores, geometries: Geometries, caps: Sequence[Cap]) -> dict[str, Tensor]:
    """Level of each synapse: its rank divided by the allowed number; 0 is within all limits."""
    levels = {name: torch.zeros_like(score) for name, score in scores.items()}
    for cap in caps:
        names = [name for name in cap.names if name in scores]
        # A synapse beyond one limit does not count towards another.
        left = {name: torch.where(levels[name] == 0, scores[name], -math.inf) for name in names}
        ranks = _ranks_together(left, geometries, cap) if cap.together else None
        for name in names:
            rank = ranks[name] if ranks is not None else cap.rank(left[name], geometries[name])
            beyond = torch.div(rank, cap.allowed, rounding_mode="floor")
            levels[name] = torch.maximum(levels[name], beyond.to(levels[name]))
            if cap.listener is not None and cap.listener in scores:
                channels, heard = levels[name].flatten(1).amin(1), levels[cap.listener]
                levels[cap.listener] = torch.maximum(heard, _from_channels(channels, heard, geometries[cap.listener]))
    return levels


def _ranks_together(scores: Scores, geometries: Geometries, cap: Cap) -> dict[str, Tensor]:
    """Rank of each synapse among those of all tensors at the same neuron."""
    to, back = (to_rows, from_rows) if cap.rank is _among_inputs else (to_columns, from_columns)
    matrices = {name: to(score, geometries[name]) for name, score in scores.items()}
    if len({len(matrix) for matrix in matrices.values()}) > 1:  # neurons that are read pooled, or in parts
        share = max(1, len(matrices))
        return {name: cap.rank(score, geometries[name]) * share for name, score in scores.items()}
    ranks = ranks_in_rows(torch.cat(list(matrices.values()), dim=1))
    parts = ranks.split([matrix.shape[1] for matrix in matrices.values()], dim=1)
    return {
        name: back(part.contiguous(), geometries[name], scores[name].shape)
        for name, part in zip(matrices, parts, strict=True)
    }


def _from_channels(channels: Tensor, heard: Tensor, shape: Geometry) -> Tensor:
    """Levels of a layer's output channels for the synapses of the layer after it, of the shape of `heard`."""
    inputs = heard.shape[1] * shape.groups
    each, rest = divmod(inputs, len(channels))  # a Linear layer after a convolution hears each position by itself
    if rest:
        return torch.zeros_like(heard)  # the layers between are unknown: no synapse is ruled out
    of_groups = channels.repeat_interleave(each).view(shape.groups, -1)
    of_outputs = of_groups.repeat_interleave(len(heard) // shape.groups, dim=0)
    return of_outputs.view(*of_outputs.shape, *[1] * (heard.dim() - 2)).expand_as(heard)


def _only(scores: Scores, levels: Scores) -> dict[str, Tensor]:
    return {name: torch.where(levels[name] == 0, score, -math.inf) for name, score in scores.items()}


def _finite(scores: Scores) -> int:
    return sum(int((score > -math.inf).sum()) for score in scores.values())


def _among_inputs(score: Tensor, shape: Geometry) -> Tensor:
    return from_rows(ranks_in_rows(to_rows(score, shape)), shape, score.shape)


def _among_targets(score: Tensor, shape: Geometry) -> Tensor:
    return from_columns(ranks_in_rows(to_columns(score, shape)), shape, score.shape)


def _among_all(score: Tensor, _shape: Geometry) -> Tensor:
    return ranks_in_rows(score.reshape(1, -1)).view(score.shape)


def _reached(score: Tensor, _shape: Geometry) -> Tensor:
    return _among_neurons(score, 0)


def _heard(score: Tensor, _shape: Geometry) -> Tensor:
    return _among_neurons(score, 1)


def _among_neurons(score: Tensor, axis: int) -> Tensor:
    """One rank for all synapses of a neuron along an axis: that of the sum of their scores."""
    others = [other for other in range(score.dim()) if other != axis]
    ranks = ranks_in_rows(score.clamp(min=0).sum(others)[None])[0]
    shape = [1] * score.dim()
    shape[axis] = -1
    return ranks.view(shape).expand_as(score)
