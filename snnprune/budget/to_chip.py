"""Pruning to a chip: an allocation that gives no neuron more than the chip can hold."""

import math
from collections.abc import Callable, Collection, Sequence
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
from .wiring import Wired

# (scores, geometry) -> rank of each synapse among those that share a limit, 0 for the largest score.
Rank = Callable[[Tensor, Geometry], Tensor]


class Cap(NamedTuple):
    """A limit of a chip: its layers, the ranking of synapses there, and the number that is allowed.

    `listener` is the layer after it, which needs no synapses from channels beyond the limit.
    """

    names: Collection[str]
    rank: Rank
    allowed: int
    listener: str | None = None


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
    names = [layer.name for layer in layers]
    linear = [layer.name for layer in layers if not layer.convolution]
    known: list[tuple[str, Collection[str], Rank]] = [
        ("fan_in", names, _among_inputs),
        ("core_input_axons", linear, _among_inputs),  # a neuron must find all of its inputs on one core
        ("fan_out", names[1:], _among_targets),  # the inputs of the network are no neurons of the chip
        ("input_targets", names[:1], lambda score, _: _among_neurons(score, 0)),
        ("output_sources", names[-1:], lambda score, _: _among_neurons(score, 1)),
    ]
    caps = [Cap(where, rank, limit) for name, where, rank in known if (limit := chip.limit(name)) is not None]
    mean, hidden = chip.limit("mean_fan_out"), chip.limit("hidden_neurons")
    if mean is not None and hidden is not None and len(names) > 1:
        # The limit is on the mean over all neurons: its total is divided among the layers by their size.
        share = {name: layer.kernels.size for name, layer in zip(names[1:], layers[1:], strict=True)}
        for name, size in share.items():
            caps.append(Cap([name], _among_all, max(1, mean * hidden * size // sum(share.values()))))
    if "kernel_words" in chip.limits:
        caps += _caps_of_channels(layers, chip)
    return caps


def _caps_of_channels(layers: Sequence[Wired], chip: Chip) -> list[Cap]:
    """Limits on the number of output channels."""
    outputs = channels_that_fit(layers, chip)
    if outputs is None:
        raise InputError(f"no number of channels of this network is small enough for {chip.name}: make it smaller")
    return [
        Cap([layer.name], lambda score, _: _among_neurons(score, 0), count, after.name)
        for layer, after, count in zip(layers, layers[1:], outputs, strict=False)
        if count < layer.outputs[0]
    ]


def _levels(scores: Scores, geometries: Geometries, caps: Sequence[Cap]) -> dict[str, Tensor]:
    """Level of each synapse: its rank divided by the allowed number; 0 is within all limits."""
    levels = {name: torch.zeros_like(score) for name, score in scores.items()}
    for cap in caps:
        for name in scores.keys() & cap.names:
            # A synapse beyond one limit does not count towards another.
            left = torch.where(levels[name] == 0, scores[name], -math.inf)
            beyond = torch.div(cap.rank(left, geometries[name]), cap.allowed, rounding_mode="floor")
            levels[name] = torch.maximum(levels[name], beyond.to(levels[name]))
            if cap.listener is not None and cap.listener in scores:
                channels, heard = levels[name].flatten(1).amin(1), levels[cap.listener]
                levels[cap.listener] = torch.maximum(heard, _from_channels(channels, heard, geometries[cap.listener]))
    return levels


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


def _among_neurons(score: Tensor, axis: int) -> Tensor:
    """One rank for all synapses of a neuron along an axis: that of the sum of their scores."""
    others = [other for other in range(score.dim()) if other != axis]
    ranks = ranks_in_rows(score.clamp(min=0).sum(others)[None])[0]
    shape = [1] * score.dim()
    shape[axis] = -1
    return ranks.view(shape).expand_as(score)
