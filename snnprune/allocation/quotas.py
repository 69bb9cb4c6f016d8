"""A number of synapses for each layer, and in each layer the best."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..connectivity import Connectivity, check_scores
from ..errors import InputError
from ..layout import from_rows, to_rows
from ..synapses import Geometry
from .common import Geometries, Scores, count_of, keep_in_each, need_geometries, ranks_in_rows
from .shares import deal


def uniform(scores: Scores, density: float, geometries: Geometries | None = None) -> Connectivity:
    """The same density in every layer; the whole count is exact (largest remainders). Args as `global_ranking`."""
    check_scores(scores, density)
    return _in_proportion(scores, density, {name: score.numel() for name, score in scores.items()})


def erdos_renyi(scores: Scores, density: float, geometries: Geometries) -> Connectivity:
    """Erdos-Renyi: a layer's density is proportional to (inputs + outputs) / pairs of them, units or channels.

    Mocanu et al., "Scalable training of artificial neural networks with adaptive sparse connectivity inspired by
    network science", 2018. Layers that would be more than dense are dense, and the rest shares what is left.

    Args:
        scores: parameter name -> scores, floating point, finite or -inf.
        density: in (0, 1]; the count is exact.
        geometries: of these layers, from `snnprune.geometry`.

    Raises:
        InputError: as `Connectivity.from_scores`, or a layer without geometry.
    """
    check_scores(scores, density)
    need_geometries(scores, geometries)
    wanted = {name: _units(geometries[name]) * math.prod(geometries[name].kernel) for name in scores}
    return _in_proportion(scores, density, wanted)


def erdos_renyi_kernel(scores: Scores, density: float, geometries: Geometries) -> Connectivity:
    """Erdos-Renyi-Kernel: the density is proportional to (inputs + outputs + kernel sizes) / weights.

    Evci et al., "Rigging the Lottery", ICML 2020, section 3. Small layers stay dense: it saves weights, not operations.
    Args and errors as `erdos_renyi`.
    """
    check_scores(scores, density)
    need_geometries(scores, geometries)
    return _in_proportion(
        scores, density, {name: _units(geometries[name]) + sum(geometries[name].kernel) for name in scores}
    )


def rows(scores: Scores, density: float, geometries: Geometries) -> Connectivity:
    """The same density in every row: inputs compete only with inputs of the same neuron (Wanda, Sun et al. 2024).

    The whole count is exact; rows of a layer differ by one synapse at most. Args and errors as `erdos_renyi`.
    """
    check_scores(scores, density)
    need_geometries(scores, geometries)
    return uniform({name: _rank_in_row(score, geometries[name]) for name, score in scores.items()}, density)


def per_layer(scores: Scores, densities: Mapping[str, float]) -> Connectivity:
    """Densities given by hand, round(density * weights) in each layer; `find` makes an allocation of them.

    Args:
        scores: parameter name -> scores, floating point, finite or -inf.
        densities: parameter name -> density in [0, 1], for every layer.

    Raises:
        InputError: as `Connectivity.from_scores`, or densities that do not name the layers of the scores.
    """
    check_scores(scores, 1.0)
    if scores.keys() != densities.keys():
        raise InputError(
            f"densities are given for {', '.join(densities) or 'nothing'}, the layers are {', '.join(scores)}"
        )
    if wrong := {name: density for name, density in densities.items() if not 0 <= density <= 1}:
        raise InputError(f"densities must be in [0, 1], found {wrong}")
    return keep_in_each(scores, {name: round(densities[name] * score.numel()) for name, score in scores.items()})


def _units(geometry: Geometry) -> int:
    return geometry.inputs + geometry.outputs


def _rank_in_row(score: Tensor, geometry: Geometry) -> Tensor:
    """Negative rank of each score in its row: the first of all rows come before the second of any."""
    matrix = to_rows(score.detach(), geometry)
    ranks = torch.where(matrix > -math.inf, -ranks_in_rows(matrix).float(), -math.inf)
    return from_rows(ranks, geometry, score.shape)


def _in_proportion(scores: Scores, density: float, wanted: Mapping[str, float]) -> Connectivity:
    """Layer counts in the proportion of `wanted`, none above what the layer has, and exact together."""
    sizes = {name: score.numel() for name, score in scores.items()}
    there = {name: int((score > -math.inf).count_nonzero()) for name, score in scores.items()}
    total = count_of(scores, density)
    counts = deal(min(total, sum(there.values())), wanted, there)
    missing = deal(total - sum(counts.values()), wanted, {name: sizes[name] - there[name] for name in sizes})
    return keep_in_each(scores, {name: counts[name] + missing[name] for name in sizes})
