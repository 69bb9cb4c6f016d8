"""Allocations that keep or remove groups of synapses: whole kernels and whole filters."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..connectivity import Connectivity, check_scores
from ..layout import from_rows, to_rows
from ..options import Share, checked
from ..selection import comparable
from ..synapses import Geometry
from .common import Geometries, Scores, count_of, need_geometries, to_connectivity


@checked
def whole_kernels(scores: Scores, density: Share, geometries: Geometries) -> Connectivity:
    """Keep whole kernels, all weights between one channel and another, ranked globally by their mean score.

    A kernel of a linear layer is one weight. Kernels are taken in order until the next one would exceed
    round(density * prunable); the shortfall is less than one kernel. A kernel with a score of -inf is never taken.

    Args:
        scores: parameter name -> scores, floating point, finite or -inf.
        density: in (0, 1].
        geometries: of these layers, from `snnprune.geometry`.

    Raises:
        InputError: as `Connectivity.from_scores`, or a layer without geometry.
    """
    return _whole(scores, density, geometries, lambda geometry: math.prod(geometry.kernel))


@checked
def whole_filters(scores: Scores, density: Share, geometries: Geometries) -> Connectivity:
    """Keep whole filters, all weights into one channel or neuron, ranked globally by their mean score.

    Args, count and errors as `whole_kernels`. The synapses that leave a removed filter stay in the connectivity,
    although they carry no spikes any more: see `effective_connectivity`.
    """
    return _whole(scores, density, geometries, lambda geometry: geometry.fan_in)


def _whole(scores: Scores, density: float, geometries: Geometries, size: Callable[[Geometry], int]) -> Connectivity:
    """Keep groups of `size` neighbours in `to_rows`, by mean score, as many as fit into the density."""
    check_scores(scores, density)
    need_geometries(scores, geometries)
    sizes = {name: size(geometries[name]) for name in scores}
    means = {name: _means(score, geometries[name], sizes[name]) for name, score in scores.items()}
    alike = comparable(means)
    ranked, order = torch.cat(list(alike.values())).sort(descending=True, stable=True)
    weights = torch.cat([torch.full_like(mean, sizes[name], dtype=torch.int64) for name, mean in alike.items()])
    fitting = (weights[order].cumsum(0) <= count_of(scores, density)) & (ranked > -math.inf)
    kept = torch.empty_like(fitting).scatter_(0, order, fitting).split([len(mean) for mean in means.values()])
    masks = {
        name: from_rows(groups.repeat_interleave(sizes[name]).to(score.device), geometries[name], score.shape)
        for (name, score), groups in zip(scores.items(), kept, strict=True)
    }
    return to_connectivity(scores, masks)


def _means(score: Tensor, geometry: Geometry, size: int) -> Tensor:
    groups = to_rows(score.detach(), geometry).reshape(-1, size)
    return groups.mean(1, dtype=torch.promote_types(score.dtype, torch.float32))
