"""Checks of the methods' arguments that an annotation cannot express."""

from collections.abc import Mapping

from .. import allocation as allocations
from ..allocation import Allocation
from ..errors import InputError


def find_layerwise(allocation: str | Mapping[str, float] | Allocation) -> Allocation:
    """Return an allocation for a rewiring that keeps each layer's number of synapses but moves them within the layer.

    Raises:
        InputError: unknown name, or an allocation with a rule within layers (N:M, a fan-in cap), which would not last.
    """
    found = allocations.find(allocation)
    known = ("erk", "er", "uniform", "global", "lamp")
    if isinstance(allocation, str) and allocation not in known:
        raise InputError(
            f"allocation={allocation!r} would not last, because synapses move within their layers: use one of "
            f"{', '.join(known)}, or a density for each layer"
        )
    return found
