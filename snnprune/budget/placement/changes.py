"""Changes that would make a network fit a chip, and their cost."""

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from ..chip import Chip
from ..wiring import Wired
from .channels import in_use
from .fans import fan_ins, fan_outs
from .layers import spare_channels
from .result import Placement
from .single import needs_of_core, parts_of

# bits of a weight -> placement
Placer = Callable[[int], Placement]
# Number of changes that are reported.
_MOST = 3
# Removing a larger share of the synapses is not a change but another network.
_TOO_MUCH = 0.9


class Change(NamedTuple):
    """A change in words, and the share of the synapses that it removes."""

    share: float
    text: str


def cheapest_changes(layers: Sequence[Wired], chip: Chip, placement: Placement, placer: Placer) -> tuple[str, ...]:
    """Three changes at most, those first that remove the fewest synapses; none where the network fits.

    Args:
        layers: of `wire`.
        chip: the chip.
        placement: on it.
        placer: of the network with weights of another width.
    """
    if placement.verdict == "fits":
        return ()
    kinds = {
        "neurons": (_caps, _fewer_bits, _fewer_neurons),
        "layers": (_caps, _fewer_channels),
        "single": (_caps, _on_one_core),
    }
    found = (change for kind in kinds[chip.placement] for change in kind(layers, chip, placement, placer))
    return tuple(change.text for change in sorted(found)[:_MOST] if change.share <= _TOO_MUCH)


def _caps(layers: Sequence[Wired], chip: Chip, _placement: Placement, _placer: Placer) -> Iterator[Change]:
    axons = chip.limit("core_input_axons")  # a neuron must find all of its inputs on one core
    for name, limit, fans in (
        ("fan-in", chip.limit("fan_in") or axons, fan_ins),
        ("fan-out", chip.limit("fan_out"), fan_outs),
    ):
        if limit is None:
            continue
        counted = fans(layers)
        if excess := sum(fan.beyond(limit) for fan in counted):
            # What inputs of the network send is no fan-out of a neuron; what is pooled is counted for each neuron.
            every = max(sum(fan.total for fan in counted), _connections(layers))
            yield _removing(layers, excess, every, f"cap the {name} at {limit:,}")


def _fewer_bits(_layers: Sequence[Wired], chip: Chip, placement: Placement, placer: Placer) -> Iterator[Change]:
    fewest = chip.weight_bits.value[0]
    if placement.verdict == "needs-more-chips" and fewest < chip.weight_bits.value[-1]:
        smaller = placer(fewest)
        if 0 < smaller.chips < placement.chips:
            taken = "1 chip" if smaller.chips == 1 else f"{smaller.chips} chips"
            yield Change(0.0, f"weights of {fewest} bits: takes {taken}")


def _fewer_neurons(layers: Sequence[Wired], chip: Chip, placement: Placement, _placer: Placer) -> Iterator[Change]:
    cores, each = chip.limit("cores"), chip.limit("core_neurons")
    neurons = sum(layer.neurons for layer in layers)
    if placement.verdict == "needs-more-chips" and cores and each and neurons > cores * each:
        over = neurons - cores * each
        yield Change(over / neurons, f"remove {over:,} of {neurons:,} neurons: one chip has {cores * each:,}")


def _fewer_channels(layers: Sequence[Wired], chip: Chip, _placement: Placement, _placer: Placer) -> Iterator[Change]:
    for layer, used, spare in zip(layers, in_use(layers)[1:], spare_channels(layers, chip), strict=True):
        if spare:
            lost = int(np.sort(layer.fan_in[used])[:spare].sum()) * prod(layer.outputs[1:])
            of_all = f"{np.count_nonzero(used):,} output channels of {layer.label} that are in use"
            yield _removing(
                layers, lost, _connections(layers), f"remove {spare:,} of the {of_all}, to halve its kernels"
            )


def _on_one_core(layers: Sequence[Wired], chip: Chip, _placement: Placement, _placer: Placer) -> Iterator[Change]:
    parts = parts_of(layers)
    hidden = sum(layer.neurons for layer in parts.hidden)
    every = _connections(layers)
    for name, value in needs_of_core(layers, chip).items():
        limit = chip.limits[name].value
        over = value - limit
        if over <= 0:
            continue
        if name == "input_neurons":
            yield Change(
                0.0, f"bring the {value:,} inputs down to {limit:,}: average them, or keep a layer off the chip"
            )
        elif name == "hidden_neurons":
            yield Change(over / hidden, f"remove {over:,} of {hidden:,} hidden neurons")
        elif name == "input_targets":
            lost = _smallest(parts.reached(), over)
            yield _removing(layers, lost, every, f"connect inputs to {limit:,} neurons only")
        elif name == "output_sources":
            lost = _smallest(parts.heard(), over)
            yield _removing(layers, lost, every, f"connect outputs to {limit:,} neurons only")
        elif name == "mean_fan_out":
            targets = limit * (chip.limit("hidden_neurons") or 1)
            yield _removing(layers, parts.sent() - targets, every, f"leave {targets:,} synapses behind the first layer")


def _smallest(counts: np.ndarray, number: int) -> int:
    """Sum of the smallest counts that are not 0."""
    return int(np.sort(counts[counts > 0])[:number].sum())


def _connections(layers: Sequence[Wired]) -> int:
    return sum(layer.connections for layer in layers)


def _removing(layers: Sequence[Wired], lost: int, every: int, text: str) -> Change:
    """A change by which connections go: each use of a weight is one, so that without shared weights they are those."""
    share = lost / max(1, every)
    unit = "connections" if any(prod(layer.outputs[1:]) > 1 for layer in layers) else "synapses"
    return Change(share, f"{text}: removes {share:.1%} of the {unit}")
