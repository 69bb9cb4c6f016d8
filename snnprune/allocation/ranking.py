"""All synapses of all layers in one ranking."""

import math

import torch
from torch import Tensor

from ..connectivity import Connectivity, check_scores
from ..selection import keep_largest
from .common import Geometries, Scores, count_of, keep_in_each, to_connectivity


def global_ranking(scores: Scores, density: float, geometries: Geometries | None = None) -> Connectivity:
    """The largest scores of all layers together, exactly round(density * prunable) of them.

    Args:
        scores: parameter name -> scores, floating point, finite or -inf.
        density: in (0, 1].
        geometries: not looked at.

    Raises:
        InputError: as `Connectivity.from_scores`.
    """
    check_scores(scores, density)
    return to_connectivity(scores, keep_largest(scores, count_of(scores, density)))


def lamp(scores: Scores, density: float, geometries: Geometries | None = None) -> Connectivity:
    r"""LAMP: rank each squared score by its share of those in its layer that are not smaller, then globally.

    :math:`s_u^2 / \sum_{v \ge u} s_v^2` with a layer's scores in ascending order (Lee, Park, Mo, Ahn, Shin:
    "Layer-adaptive Sparsity for the Magnitude-based Pruning", ICLR 2021, equation 4, where s is |w|). The largest of a
    layer always has 1, so no layer is emptied before all others are down to one synapse, unless all its scores are
    equal to 0. Scores below 0 are moved up until the smallest is 0.

    Args and errors as `global_ranking`; the count is exact.
    """
    check_scores(scores, density)
    # A layer's shares fall with its scores: they say how many it keeps, and its scores which.
    kept = keep_largest({name: _shares(score) for name, score in scores.items()}, count_of(scores, density))
    return keep_in_each(scores, {name: int(mask.count_nonzero()) for name, mask in kept.items()})


def _shares(score: Tensor) -> Tensor:
    """The share of each score in those before it and itself, from the largest score to the smallest, float64."""
    values = score.detach().reshape(-1).sort(descending=True).values
    there = values > -math.inf
    lowest = torch.where(there, values, 0).amin().clamp(max=0)
    squares = torch.where(there, values - lowest, 0).double().square_()
    shares = squares / squares.cumsum(0).clamp_(min=torch.finfo(torch.float64).tiny)
    return shares.masked_fill_(~there, -math.inf)
