"""Allocations by name."""

import re
from collections.abc import Mapping
from functools import partial

from ..connectivity import Connectivity
from ..registry import Registry
from .balance import balanced
from .common import Allocation, Geometries, Scores
from .grains import whole_filters, whole_kernels
from .limits import fan_in_cap, fan_out_cap, n_of_m
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
        InputError: unknown name; the known ones are listed.
    """
    if isinstance(allocation, Mapping):
        return partial(_by_hand, dict(allocation))
    if callable(allocation):
        return allocation
    if pattern := re.fullmatch(r"(\d+):(\d+)", allocation):
        return partial(n_of_m, n=int(pattern[1]), m=int(pattern[2]))
    if pattern := re.fullmatch(r"balanced=(\d+)", allocation):
        return partial(balanced, elements=int(pattern[1]))
    if pattern := re.fullmatch(r"fan-(in|out)=(\d+)", allocation):
        return partial(fan_in_cap if pattern[1] == "in" else fan_out_cap, cap=int(pattern[2]))
    return ALLOCATIONS.find(allocation)


def _by_hand(
    densities: Mapping[str, float], scores: Scores, density: float, geometries: Geometries | None = None
) -> Connectivity:
    return per_layer(scores, densities)
