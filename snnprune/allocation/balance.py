"""Equal work for each of a chip's processing elements."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..connectivity import Connectivity
from ..errors import InputError
from ..layout import from_rows, to_rows
from ..seeding import generator
from ..selection import keep_largest
from ..synapses import Geometry
from .common import Geometries, Scores, need_geometries, to_connectivity
from .ranking import global_ranking
from .shares import deal


def balanced(scores: Scores, density: float, geometries: Geometries, *, elements: int = 16) -> Connectivity:
    """As many synapses in each layer as a global ranking keeps, dealt out evenly over processing elements.

    The postsynaptic units of a layer are cut into `elements` blocks, one for each processing element, and every block
    keeps the same number of synapses, give or take one: its best ones. A layer then takes as long as its mean
    block, not as long as its fullest (Yin et al., "Workload-Balanced Pruning for Sparse Spiking Neural Networks", 2023,
    where synapses are added and removed at random to that end). A score of -inf, an absent synapse, is taken if a block
    has no others left: it comes back, drawn at random.

    Args:
        scores: parameter name -> scores, floating point, finite or -inf.
        density: in (0, 1]; the count is exact.
        geometries: of these layers, from `snnprune.geometry`.
        elements: 1 or more.

    Raises:
        InputError: as `Connectivity.from_scores`, a layer without geometry, or no elements.
    """
    if elements < 1:
        raise InputError(f"wanted 1 processing element or more, found {elements}")
    need_geometries(scores, geometries)
    counts = {name: row["nonzero"] for name, row in global_ranking(scores, density).layers().items()}
    masks = {name: _even(score, geometries[name], counts[name], elements) for name, score in scores.items()}
    return to_connectivity(scores, masks)


def utilisation(
    connectivity: Connectivity, geometries: Mapping[str, Geometry], *, elements: int = 16
) -> dict[str, float]:
    """For each layer the share of time in which its processing elements work, in (0, 1]; 1 is perfectly balanced.

    Mean work over the largest, work being the number of synapses in a block of postsynaptic units. An empty layer has
    1.

    Args:
        connectivity: of a network.
        geometries: of its layers, from `snnprune.geometry`.
        elements: processing elements, 1 or more.
    """
    found = {}
    for name, mask in connectivity.items():
        work = [int(block.sum()) for block in _blocks(to_rows(mask, geometries[name]), elements)]
        found[name] = sum(work) / len(work) / max(work) if max(work) else 1.0
    return found


def _blocks(rows: Tensor, elements: int) -> tuple[Tensor, ...]:
    return rows.tensor_split(min(elements, len(rows)))


def _even(score: Tensor, geometry: Geometry, count: int, elements: int) -> Tensor:
    """The mask of a layer whose blocks keep the same number of synapses."""
    blocks = _blocks(to_rows(score.detach(), geometry), elements)
    room = {str(index): block.numel() for index, block in enumerate(blocks)}
    quotas = deal(count, dict.fromkeys(room, 1.0), room)
    kept = [_best(block.contiguous(), quotas[name], int(name)) for name, block in zip(room, blocks, strict=True)]
    return from_rows(torch.cat(kept), geometry, score.shape)


def _best(block: Tensor, count: int, index: int) -> Tensor:
    """The mask of the best scores of a block; of those that are gone, drawn at random, where there are no others."""
    gone = block == -math.inf
    if block.numel() - int(gone.sum()) < count:
        chance = torch.rand(block.shape, generator=generator(block.numel(), index)).to(block)
        lowest = torch.where(gone, 0, block).amin()
        block = torch.where(gone, lowest - 1 - chance, block)
    return keep_largest({"": block}, count)[""]
