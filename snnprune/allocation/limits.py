"""Allocations under a limit for each neuron, as hardware has it: N:M, fan-in and fan-out caps."""

import logging
import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from ..connectivity import Connectivity, check_scores
from ..errors import InputError
from ..layout import from_columns, from_rows, to_columns, to_rows
from ..options import Share, checked
from ..selection import keep_largest
from .common import Geometries, Scores, count_of, need_geometries, ranks_in_rows, to_connectivity

logger = logging.getLogger(__name__)


@checked
def n_of_m(scores: Scores, density: Share | None, geometries: Geometries, *, n: int, m: int) -> Connectivity:
    """Keep at most n of every m consecutive inputs of a neuron (N:M), and of those the globally largest.

    Inputs are ordered as in a row of `layout.to_rows`: features, or the kernel entries of one channel after the other.
    A score of -inf is never taken.

    Args:
        scores: parameter name -> scores, floating point, finite or -inf.
        density: in (0, 1], met exactly if it is at most n / m; a larger one, or None, keeps n of m.
        geometries: of these layers, from `snnprune.geometry`.
        n: 1 to m.
        m: must divide the fan-in of every layer.

    Raises:
        InputError: as `Connectivity.from_scores`; a layer without geometry; n outside 1..m; or a fan-in that m does not
            divide (exclude that layer).
    """
    check_pattern(n, m)
    need_geometries(scores, geometries)
    if wrong := {name: geometries[name].fan_in for name in scores if geometries[name].fan_in % m}:
        found = ", ".join(f"{name} has {fan_in}" for name, fan_in in wrong.items())
        raise InputError(f"{n}:{m} needs a fan-in that {m} divides, {found}: exclude these layers")

    def within(name: str, score: Tensor) -> Tensor:
        groups = to_rows(score, geometries[name]).reshape(-1, m)
        return from_rows(ranks_in_rows(groups) < n, geometries[name], score.shape)

    return _limited(scores, density, within)


def check_pattern(n: int, m: int) -> None:
    """Make sure that N:M is a pattern.

    Raises:
        InputError: n outside 1..m.
    """
    if not 1 <= n <= m:
        raise InputError(f"N:M must have 1 <= N <= M, found {n}:{m}")


@checked
def fan_in_cap(scores: Scores, density: Share | None, geometries: Geometries, *, cap: int) -> Connectivity:
    """Keep at most `cap` synapses into each neuron (shared weights into each channel), the globally largest.

    A layer whose fan-in is not above the cap is not limited, which is logged. A score of -inf is never taken.

    Args:
        scores: parameter name -> scores, floating point, finite or -inf.
        density: in (0, 1], met exactly if the cap allows it; a larger one, or None, keeps `cap` for every neuron.
        geometries: of these layers, from `snnprune.geometry`.
        cap: 1 or more.

    Raises:
        InputError: as `Connectivity.from_scores`, a layer without geometry, or a cap below 1.
    """
    _check_cap(scores, geometries, cap, "fan-in")

    def within(name: str, score: Tensor) -> Tensor:
        kept = ranks_in_rows(to_rows(score, geometries[name])) < cap
        return from_rows(kept, geometries[name], score.shape)

    return _limited(scores, density, within)


@checked
def fan_out_cap(scores: Scores, density: Share | None, geometries: Geometries, *, cap: int) -> Connectivity:
    """Keep at most `cap` synapses out of each presynaptic neuron or channel of a layer; otherwise as `fan_in_cap`."""
    _check_cap(scores, geometries, cap, "fan-out")

    def within(name: str, score: Tensor) -> Tensor:
        kept = ranks_in_rows(to_columns(score, geometries[name])) < cap
        return from_columns(kept, geometries[name], score.shape)

    return _limited(scores, density, within)


def _check_cap(scores: Scores, geometries: Geometries, cap: int, kind: str) -> None:
    if cap < 1:
        raise InputError(f"the {kind} cap must be 1 or more, found {cap}")
    need_geometries(scores, geometries)
    for name in scores:
        fan = geometries[name].fan_in if kind == "fan-in" else geometries[name].fan_out
        if fan <= cap:
            _warn_once(f"{name} has a {kind} of {fan}: a cap of {cap} does not limit it")


@cache
def _warn_once(message: str) -> None:
    """Log a warning the first time only: a gradual method allocates at every update."""
    logger.warning(message)


def _limited(scores: Scores, density: float | None, within: Callable[[str, Tensor], Tensor]) -> Connectivity:
    """Keep the synapses that a limit allows, and only the globally largest of them if the density is smaller."""
    check_scores(scores, 1.0 if density is None else density)
    allowed = {name: within(name, score.detach()) & (score > -math.inf) for name, score in scores.items()}
    most = sum(int(mask.count_nonzero()) for mask in allowed.values())
    if density is None or count_of(scores, density) >= most:
        return to_connectivity(scores, allowed)
    candidates = {name: torch.where(mask, scores[name], -math.inf) for name, mask in allowed.items()}
    return to_connectivity(scores, keep_largest(candidates, count_of(scores, density)))
