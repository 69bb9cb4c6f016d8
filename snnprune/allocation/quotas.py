"""Allocations with a fixed number of synapses for each layer; within a layer the largest scores are kept."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..connectivity import Connectivity, check_scores
from ..errors import InputError
from ..layout import from_rows, to_rows
from ..options import Fraction, Share, checked
from ..synapses import Geometry
from .common import Geometries, Scores, count_of, keep_in_each, need_geometries, ranks_in_rows
from .shares import deal


@checked
def uniform(scores: Scores, density: Share, geometries: Geometries | None = None) -> Connectivity:
    """Keep the same density in every layer; the total is exact (largest remainders). Args as `global_ranking`."""
    check_scores(scores, density)
    return _in_proportion(scores, density, {name: score.numel() for name, score in scores.items()})


@checked
def erdos_renyi(scores: Scores, density: Share, geometries: Geometries) -> Connectivity:
    """Keep a density proportional to (inputs + outputs) / (inputs * outputs), units or channels (Erdos-Renyi).

    Mocanu et al., "Scalable training of artificial neural networks with adaptive sparse connectivity inspired by
    network science", 2018. Layers whose density would exceed 1 are dense, and the others share the remaining synapses.

    Args:
        scores: parameter name -> scores, floating point, finite or -inf.
        density: in (0, 1]; the count is exact.
        geometries: of these layers, from `snnprune.geometry`.

    Raises:
        InputError: as `Connectivity.from_scores`, or a layer without geometry.
    """
    check_scores(scores, density)
    need_geometries(scores, geometries)
    proportions = {name: _units(geometries[name]) * math.prod(geometries[name].kernel) for name in scores}
    return _in_proportion(scores, density, proportions)


@checked
def erdos_renyi_kernel(scores: Scores, density: Share, geometries: Geometries) -> Connectivity:
    """Keep a density proportional to (inputs + outputs + kernel sizes) / weights (Erdos-Renyi-Kernel).

    Evci et al., "Rigging the Lottery", ICML 2020, section 3. Small layers stay dense, which saves weights rather than
    operations. Args and errors as `erdos_renyi`.
    """
    check_scores(scores, density)
    need_geometries(scores, geometries)
    return _in_proportion(
        scores, density, {name: _units(geometries[name]) + sum(geometries[name].kernel) for name in scores}
    )


@checked
def rows(scores: Scores, density: Share, geometries: Geometries) -> Connectivity:
    """Keep the same density for every neuron: its inputs compete only with each other (Wanda, Sun et al. 2024).

    The total is exact; the neurons of a layer differ by one synapse at most. Args and errors as `erdos_renyi`.
    """
    check_scores(scores, density)
    need_geometries(scores, geometries)
    return uniform({name: _rank_in_row(score, geometries[name]) for name, score in scores.items()}, density)


@checked
def per_layer(scores: Scores, densities: Mapping[str, Fraction]) -> Connectivity:
    """Keep round(density * weights) synapses in each layer, with densities given by hand.

    Args:
        scores: parameter name -> scores, floating point, finite or -inf.
        densities: parameter name -> density in [0, 1], for every layer.

    Raises:
        InputError: as `Connectivity.from_scores`, or densities that do not name the layers of the scores.
    """
    check_scores(scores, 1.0)
    if scores.keys() != densities.keys():
        raise InputError(
            f"densities are given for {', '.join(map(str, densities)) or 'no layer'}, "
            f"the layers are {', '.join(scores)}: give one for each"
        )
    return keep_in_each(scores, {name: round(densities[name] * score.numel()) for name, score in scores.items()})


def _units(geometry: Geometry) -> int:
    return geometry.inputs + geometry.outputs


def _rank_in_row(score: Tensor, geometry: Geometry) -> Tensor:
    """Return minus the rank of each score in its row, so that the best of every row precede the second of any."""
    matrix = to_rows(score.detach(), geometry)
    rank = torch.where(matrix > -math.inf, -ranks_in_rows(matrix).float(), -math.inf)
    return from_rows(rank, geometry, score.shape)


def _in_proportion(scores: Scores, density: float, proportions: Mapping[str, float]) -> Connectivity:
    """Keep layer counts in these proportions, none above the size of its layer, with an exact total."""
    sizes = {name: score.numel() for name, score in scores.items()}
    eligible = {name: int((score > -math.inf).count_nonzero()) for name, score in scores.items()}
    total = count_of(scores, density)
    counts = deal(min(total, sum(eligible.values())), proportions, eligible)
    # Synapses with a score of -inf are used last, and only for the exact total.
    extra = deal(total - sum(counts.values()), proportions, {name: sizes[name] - eligible[name] for name in sizes})
    return keep_in_each(scores, {name: counts[name] + extra[name] for name in sizes})
