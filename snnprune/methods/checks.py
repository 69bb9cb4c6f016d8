"""Checks of the methods' arguments; each raises an InputError with the value that was found."""

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any

from .. import allocation as allocations
from ..allocation import Allocation
from ..errors import InputError


def check_share(name: str, value: Any) -> None:
    """Make sure that a share, such as a density, is in (0, 1]."""
    if not (isinstance(value, int | float) and 0 < value <= 1):
        raise InputError(f"{name} must be in (0, 1], found {value!r}")


def check_at_least(least: int, **values: Any) -> None:
    """Make sure that numbers are finite and at least `least`."""
    for name, value in values.items():
        if not (isinstance(value, int | float) and least <= value and math.isfinite(value)):
            raise InputError(f"{name} must be {least} or more, found {value!r}")


def check_steps(steps: Any) -> None:
    """Make sure that the number of steps is an integer, 1 or more."""
    if not (isinstance(steps, Integral) and int(steps) >= 1):
        raise InputError(f"steps must be an integer, 1 or more; found {steps!r}")


def check_scope(scope: str) -> None:
    """Make sure that a scope is known: all layers together ("global") or each by itself ("layer")."""
    if scope not in ("global", "layer"):
        raise InputError(f"scope must be 'global' or 'layer', found {scope!r}")


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
