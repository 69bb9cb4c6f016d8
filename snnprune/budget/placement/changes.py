"""Changes that would make a network fit a chip, and their cost."""

from collections.abc import Callable, Iterator, Sequence
from math import ceil, prod
from typing import NamedTuple

import numpy as np

from ..chip import Chip
from ..wiring import Wired
from .channels import in_use
from .layers import spare_channels
from .result import Placement
from .single import needs_of_core

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


def fans(layer: Wired, *, first: bool) -> list[tuple[str, str, np.ndarray]]:
    """Limited counts of each neuron: fan-in, and fan-out unless the inputs are those of the network."""
    found = [("fan_in", "inputs", layer.fan_in)]
    return found if first else [*found, ("fan_out", "targets", layer.fan_out)]


def _caps(layers: Sequence[Wired], chip: Chip, _placement: Placement, _placer: Placer) -> Iterator[Change]:
    axons = chip.limit("core_input_axons")  # a neuron must find all of its inputs on one core
    for name, limit in (("fan_in", chip.limit("fan_in") or axons), ("fan_out", chip.limit("fan_out"))):
        if limit is None:
            continue
        excess = sum(
            int(np.maximum(counts - limit, 0).sum())
            for index, layer in enumerate(layers)
            for kind, _, counts in fans(layer, first=not index)
            if kind == name
        )
        if excess:
            yield _removing(layers, excess, f"cap the {name.replace('_', '-')} at {limit:,}")


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
            lost = int(np.sort(layer.fan_in[used])[:spare].sum())
            of_all = f"{np.count_nonzero(used):,} output channels of {layer.label} that are in use"
            yield _removing(layers, lost, f"remove {spare:,} of the {of_all}, to halve its kernels")


def _on_one_core(layers: Sequence[Wired], chip: Chip, _placement: Placement, _placer: Placer) -> Iterator[Change]:
    hidden = sum(layer.neurons for layer in layers[:-1])
    into, out = np.sort(layers[0].fan_in), np.sort(layers[-1].kernels.sum((0, 2, 3)))
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
            lost = int(into[: ceil(over / prod(layers[0].outputs[1:])) + int((into == 0).sum())].sum())
            yield _removing(layers, lost, f"connect inputs to {limit:,} neurons only")
        elif name == "output_sources":
            lost = int(out[: ceil(over / prod(layers[-1].inputs[1:])) + int((out == 0).sum())].sum())
            yield _removing(layers, lost, f"connect outputs to {limit:,} neurons only")
        elif name == "mean_fan_out":
            targets = limit * (chip.limit("hidden_neurons") or 1)
            lost = sum(int(layer.kernels.sum()) for layer in layers[1:]) - targets
            yield _removing(layers, lost, f"leave {targets:,} synapses behind the first layer")


def _removing(layers: Sequence[Wired], lost: int, text: str) -> Change:
    share = lost / max(1, sum(int(layer.kernels.sum()) for layer in layers))
    return Change(share, f"{text}: removes {share:.1%} of the synapses")
