"""Checks of arguments that most methods share; each raises an InputError that names the value found."""

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any

from .. import allocation as allocations
from ..allocation import Allocation
from ..errors import InputError


def check_share(name: str, value: Any) -> None:
    """Make sure that a share, such as a density, is above 0 and at most 1."""
    if not (isinstance(value, int | float) and 0 < value <= 1):
        raise InputError(f"{name} must be in (0, 1], found {value!r}")


def check_at_least(least: int, **values: Any) -> None:
    """Make sure that numbers are finite, and not below `least`."""
    for name, value in values.items():
        if not (isinstance(value, int | float) and least <= value and math.isfinite(value)):
            raise InputError(f"{name} must be {least} or more, found {value!r}")


def check_steps(steps: Any) -> None:
    """Make sure that the number of steps is a whole number above 0."""
    if not (isinstance(steps, Integral) and int(steps) >= 1):
        raise InputError(f"steps must be a whole number, 1 or more; found {steps!r}")


def check_scope(scope: str) -> None:
    """Make sure that synapses are counted in all layers together or in each."""
    if scope not in ("global", "layer"):
        raise InputError(f"scope must be 'global' or 'layer', found {scope!r}")


def find_layerwise(allocation: str | Mapping[str, float] | Allocation) -> Allocation:
    """An allocation for a method that keeps the number of synapses of each layer and moves them within it.

    Raises:
        InputError: unknown, or one that fixes more than these numbers, which would not last.
    """
    found = allocations.find(allocation)
    known = ("erk", "er", "uniform", "global", "lamp")
    if isinstance(allocation, str) and allocation not in known:
        raise InputError(
            f"allocation={allocation!r} would not last, since synapses move within their layers: take one of "
            f"{', '.join(known)}, or a density for each layer"
        )
    return found
