"""Types and helpers that all allocations share."""

import logging
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..connectivity import Connectivity
from ..errors import InputError
from ..selection import keep_largest
from ..synapses import Geometry

logger = logging.getLogger(__name__)

Scores = Mapping[str, Tensor]
Geometries = Mapping[str, Geometry]
Allocation = Callable[[Scores, float, Geometries], Connectivity]


def count_of(scores: Scores, density: float) -> int:
    """Return the number of synapses of a density, round(density * prunable)."""
    return round(density * sum(score.numel() for score in scores.values()))


def need_geometries(scores: Scores, geometries: Geometries) -> None:
    """Make sure that every layer has a geometry.

    Raises:
        InputError: one is missing.
    """
    if missing := [name for name in scores if name not in geometries]:
        raise InputError(f"the geometry of {', '.join(missing)} is not known: pass snnprune.geometry(network)")


def to_connectivity(scores: Scores, masks: Mapping[str, Tensor]) -> Connectivity:
    """Return the connectivity of these masks; log a warning for each layer that loses all its synapses."""
    for name, mask in masks.items():
        if not bool(mask.any()) and bool((scores[name] > -math.inf).any()):
            logger.warning("no synapse is left in %s: this layer passes on no spikes", name)
    return Connectivity(masks)


def keep_in_each(scores: Scores, counts: Mapping[str, int]) -> Connectivity:
    """Keep `counts[name]` synapses in each layer, those with its largest scores."""
    return to_connectivity(
        scores, {name: keep_largest({name: score}, counts[name])[name] for name, score in scores.items()}
    )


def ranks_in_rows(matrix: Tensor) -> Tensor:
    """Return the rank of each number in its row, int64, 0 for the largest; ties by index."""
    order = matrix.argsort(dim=1, descending=True, stable=True)
    ranks = torch.arange(matrix.shape[1], device=matrix.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, ranks)
