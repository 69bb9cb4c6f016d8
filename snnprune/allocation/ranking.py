"""Allocations that rank the synapses of all layers together."""

import math

import torch
from torch import Tensor

from ..connectivity import Connectivity, check_scores
from ..options import Share, checked
from ..selection import keep_largest
from .common import Geometries, Scores, count_of, keep_in_each, to_connectivity


@checked
def global_ranking(scores: Scores, density: Share, geometries: Geometries | None = None) -> Connectivity:
    """Keep the largest scores of all layers together, exactly round(density * prunable) of them.

    Args:
        scores: parameter name -> scores, floating point, finite or -inf.
        density: in (0, 1].
        geometries: unused.

    Raises:
        InputError: as `Connectivity.from_scores`.
    """
    check_scores(scores, density)
    return to_connectivity(scores, keep_largest(scores, count_of(scores, density)))


@checked
def lamp(scores: Scores, density: Share, geometries: Geometries | None = None) -> Connectivity:
    r"""Rank all synapses globally by their LAMP scores, each relative to the larger scores of its layer.

    The LAMP score is :math:`s_u^2 / \sum_{v \ge u} s_v^2` with a layer's scores in ascending order (Lee, Park, Mo, Ahn,
    Shin: "Layer-adaptive Sparsity for the Magnitude-based Pruning", ICLR 2021, equation 4, where s is |w|). It is 1 for
    the largest of a layer, so no layer loses its last synapse before all others are down to one, unless all its scores
    are 0. If a layer has negative scores, all its scores are shifted so that the smallest is 0.

    Args and errors as `global_ranking`; the total is exact.
    """
    check_scores(scores, density)
    # LAMP scores are monotonic within a layer: they give its count, and its own scores, with their tie order, the rest.
    kept = keep_largest({name: _shares(score) for name, score in scores.items()}, count_of(scores, density))
    return keep_in_each(scores, {name: int(mask.count_nonzero()) for name, mask in kept.items()})


def _shares(score: Tensor) -> Tensor:
    """Return the LAMP scores of a layer, sorted from its largest score to its smallest, float64."""
    values = score.detach().reshape(-1).sort(descending=True).values
    eligible = values > -math.inf
    lowest = torch.where(eligible, values, 0).amin().clamp(max=0)
    above = torch.where(eligible, values - lowest, 0).double()
    # By a power of two, which changes no digit: squares of the smallest and largest float64 are out of range.
    squares = above.mul_(torch.exp2(-torch.frexp(above[:1]).exponent.double())).square_()
    shares = squares / squares.cumsum(0).clamp_(min=torch.finfo(torch.float64).tiny)
    return shares.masked_fill_(~eligible, -math.inf)
