"""Equal numbers of synapses for each processing element of a chip."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..connectivity import Connectivity
from ..layout import from_rows, to_rows
from ..options import Count, checked
from ..seeding import generator, uniform
from ..selection import keep_largest
from ..synapses import Geometry
from .common import Geometries, Scores, need_geometries, to_connectivity
from .ranking import global_ranking
from .shares import deal


@checked
def balanced(scores: Scores, density: float, geometries: Geometries, *, elements: Count = 16) -> Connectivity:
    """Keep as many synapses in each layer as a global ranking, divided evenly among processing elements.

    The postsynaptic units of a layer are divided into `elements` blocks, one for each processing element. All blocks
    keep the same number of synapses, plus or minus one, those with the largest scores. The time of a layer is that of
    its fullest block, so equal blocks are the fastest (Yin et al., "Workload-Balanced Pruning for Sparse Spiking Neural
    Networks", 2023, where synapses are added and removed at random to this end). Synapses with a score of -inf are
    taken, drawn at random, only if a block has too few others.

    Args:
        scores: parameter name -> scores, floating point, finite or -inf.
        density: in (0, 1]; the count is exact.
        geometries: of these layers, from `snnprune.geometry`.
        elements: 1 or more.

    Raises:
        InputError: as `Connectivity.from_scores`, a layer without geometry, or no elements.
    """
    need_geometries(scores, geometries)
    counts = {name: row["nonzero"] for name, row in global_ranking(scores, density).layers().items()}
    masks = {name: _even(score, geometries[name], counts[name], elements) for name, score in scores.items()}
    return to_connectivity(scores, masks)


@checked
def utilisation(
    connectivity: Connectivity, geometries: Mapping[str, Geometry], *, elements: Count = 16
) -> dict[str, float]:
    """Return the utilisation of the processing elements in each layer, in (0, 1]; 1 is perfectly balanced.

    It is the mean number of synapses in a block of postsynaptic units, divided by the largest. An empty layer has 1.

    Args:
        connectivity: of a network.
        geometries: of its layers, from `snnprune.geometry`.
        elements: processing elements, 1 or more.

    Raises:
        InputError: elements below 1, or a layer without geometry.
    """
    need_geometries(connectivity, geometries)
    found = {}
    for name, mask in connectivity.items():
        work = [int(block.sum()) for block in _blocks(to_rows(mask, geometries[name]), elements)]
        found[name] = sum(work) / len(work) / max(work) if max(work) else 1.0
    return found


def _blocks(rows: Tensor, elements: int) -> tuple[Tensor, ...]:
    return rows.tensor_split(min(elements, len(rows)))


def _even(score: Tensor, geometry: Geometry, count: int, elements: int) -> Tensor:
    """Return the mask of a layer whose blocks keep the same number of synapses."""
    blocks = _blocks(to_rows(score.detach(), geometry), elements)
    capacities = {str(index): block.numel() for index, block in enumerate(blocks)}
    quotas = deal(count, dict.fromkeys(capacities, 1.0), capacities)
    kept = [_best(block.contiguous(), quotas[name], int(name)) for name, block in zip(quotas, blocks, strict=True)]
    return from_rows(torch.cat(kept), geometry, score.shape)


def _best(block: Tensor, count: int, index: int) -> Tensor:
    """Return the mask of the `count` largest scores of a block, filled up with excluded synapses drawn at random."""
    excluded = block == -math.inf
    if block.numel() - int(excluded.sum()) < count:
        # Random scores below all others: without them the first excluded synapses of a block would always win.
        chance = uniform(block.shape, generator(block.numel(), index)).to(block)
        lowest = torch.where(excluded, 0, block).amin()
        block = torch.where(excluded, lowest - 1 - chance, block)
    return keep_largest({"": block}, count)[""]
