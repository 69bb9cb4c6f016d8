"""Allocations by name."""

import re
from collections.abc import Mapping
from functools import partial

from ..connectivity import Connectivity
from ..errors import InputError, shortened
from ..options import Count, CountOrZero, Fraction, check
from ..registry import Registry
from .balance import balanced
from .common import Allocation, Geometries, Scores
from .grains import whole_filters, whole_kernels
from .limits import check_pattern, fan_in_cap, fan_out_cap, n_of_m
from .quotas import erdos_renyi, erdos_renyi_kernel, per_layer, rows, uniform
from .ranking import global_ranking, lamp

ALLOCATIONS: Registry[Allocation] = Registry("allocation", hint="N:M such as 2:4, fan-in=N, fan-out=N, balanced=N")
ALLOCATIONS.add("global", global_ranking)
ALLOCATIONS.add("uniform", uniform)
ALLOCATIONS.add("er", erdos_renyi)
ALLOCATIONS.add("erk", erdos_renyi_kernel)
ALLOCATIONS.add("lamp", lamp)
ALLOCATIONS.add("rows", rows)
ALLOCATIONS.add("kernels", whole_kernels)
ALLOCATIONS.add("filters", whole_filters)


def find(allocation: str | Mapping[str, float] | Allocation) -> Allocation:
    """Return an allocation, a function `(scores, density, geometries) -> Connectivity`.

    Args:
        allocation: a name of `ALLOCATIONS`, "2:4" (N:M), "fan-in=32", "fan-out=32", "balanced=16"; a density for each
            layer by parameter name, as in `per_layer`, which then replaces the overall density; or a function, which is
            returned as it is.

    Raises:
        InputError: unknown name (the known ones are listed), a number in it that is out of range, or a density outside
            [0, 1].
    """
    if isinstance(allocation, Mapping):
        return partial(_by_hand, dict(check("allocation", allocation, Mapping[str, Fraction])))
    if callable(allocation):
        return allocation
    if not isinstance(allocation, str):
        raise InputError(
            f"allocation must be a name, a density for each layer, or a function, found {shortened(allocation)}"
        )
    if pattern := re.fullmatch(r"(\d{1,30}):(\d{1,30})", allocation):
        n, m = (check("a number of N:M", int(part), CountOrZero) for part in pattern.groups())
        check_pattern(n, m)
        return partial(n_of_m, n=n, m=m)
    if pattern := re.fullmatch(r"balanced=(\d{1,30})", allocation):
        return partial(balanced, elements=check("the elements of balanced=N", int(pattern[1]), Count))
    if pattern := re.fullmatch(r"fan-(in|out)=(\d{1,30})", allocation):
        cap = check(f"the fan-{pattern[1]} cap", int(pattern[2]), Count)
        return partial(fan_in_cap if pattern[1] == "in" else fan_out_cap, cap=cap)
    return ALLOCATIONS.find(allocation)


def _by_hand(
    densities: Mapping[str, float], scores: Scores, density: float, geometries: Geometries | None = None
) -> Connectivity:
    return per_layer(scores, densities)
