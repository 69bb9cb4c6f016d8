"""Does a network fit on a chip? Where its neurons go, or why they do not."""

from collections.abc import Sequence
from dataclasses import replace

from ...errors import InputError
from ..chip import Chip
from ..wiring import Wired
from .changes import cheapest_changes, fans
from .layers import beyond_layers, place_layers, place_on_one_core
from .neurons import place_neurons
from .result import Placement, cannot


def fit(layers: Sequence[Wired], chip: Chip, *, bits: int | None = None) -> Placement:
    """Place a network on a chip, and say what would help where it does not fit.

    The placement is a plain heuristic. Neurons fill one core after another, in their order, or those with common inputs
    together where a core has few inputs and that takes fewer cores; what is left over of
    several layers shares cores; convolutions are cut into patches of positions too, of the size that needs the fewest
    cores. Where a layer goes to a core as a whole, it is a
    maximum matching. What is claimed to fit breaks no limit of the chip's file; a cleverer placement may need fewer.

    Args:
        layers: of `wire`, from the input to the output.
        chip: of `find_chip`.
        bits: of a weight; None: the most that the chip has.

    Raises:
        InputError: bits that the chip does not have.
    """
    allowed = chip.weight_bits.value
    width: int = allowed[-1] if bits is None else bits
    if width not in allowed:
        raise InputError(f"{chip.name} has weights of {', '.join(map(str, allowed))} bits, not of {width}")
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
    """Which layers have neurons with more inputs or targets than one can have."""
    told = []
    for place, layer in enumerate(layers):
        for name, words, counts in fans(layer, first=not place):
            limit = chip.limit(name)
            if limit is not None and (most := int(counts.max())) > limit:
                unit = "neuron" if name == "fan_in" else "input"
                told.append(
                    f"{unit} {int(counts.argmax())} of {layer.label} has {most:,} {words}, the limit is {limit:,}"
                )
    return told
