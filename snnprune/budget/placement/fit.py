"""Placement of a network on any kind of chip."""

from collections.abc import Sequence
from dataclasses import replace

from ...errors import InputError
from ...options import Count, checked
from ..chip import Chip
from ..wiring import Wired, linked
from .changes import cheapest_changes
from .fans import fan_ins, fan_outs
from .layers import beyond_layers, place_layers
from .neurons import place_neurons
from .result import Placement, cannot
from .single import place_on_one_core


@checked
def fit(layers: Sequence[Wired], chip: Chip, *, bits: Count | None = None) -> Placement:
    """Place a network on a chip, and list changes that would help if it does not fit.

    The placement is a heuristic. Neurons fill one core after another, in their order, or grouped by common inputs if a
    core has few inputs and that takes fewer cores; remainders of several layers share cores; convolutions are also cut
    into patches of positions, of the size that needs the fewest cores. On chips with a layer a core it is a maximum
    matching. A network that is reported to fit breaks no limit of the chip's file; a better placement may need fewer
    cores.

    Args:
        layers: of `wire`, from the input to the output.
        chip: of `find_chip`.
        bits: of a weight; None: the most that the chip has.

    Raises:
        InputError: no layers, or bits that the chip does not have.
    """
    if not layers:
        raise InputError("layers must be those of a network, found none: pass budget.wire(network, example)")
    allowed = chip.weight_bits.value
    width: int = allowed[-1] if bits is None else bits
    if width not in allowed:
        raise InputError(f"{chip.name} has weights of {', '.join(map(str, allowed))} bits, not of {width}")
    layers = linked(layers)
    placement = _place(layers, chip, width)
    changes = cheapest_changes(layers, chip, placement, lambda narrow: _place(layers, chip, narrow))
    return replace(placement, changes=changes)


def _place(layers: Sequence[Wired], chip: Chip, bits: int) -> Placement:
    if broken := [*_beyond_neurons(layers, chip), *beyond_layers(layers, chip)]:
        return cannot(chip, broken)
    if chip.placement == "single":
        return place_on_one_core(layers, chip)
    if chip.placement == "layers":
        return place_layers(layers, chip, bits)
    return place_neurons(layers, chip, bits)


def _beyond_neurons(layers: Sequence[Wired], chip: Chip) -> list[str]:
    """Layers whose neurons have more inputs or targets than the chip allows."""
    broken = []
    for name, words, fans in (("fan_in", "inputs", fan_ins), ("fan_out", "targets", fan_outs)):
        if (limit := chip.limit(name)) is None:
            continue
        for fan in fans(layers):
            if (most := int(fan.counts.max(initial=0))) > limit:
                broken.append(f"{fan.who} has {most:,} {words}, the limit is {limit:,}")
    return broken
