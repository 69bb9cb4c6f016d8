"""Free places among synapses, met on a walk."""

from collections.abc import Iterator, Sequence
from types import EllipsisType

import numpy as np
import torch
from torch import Tensor

# Places in a tensor.
Places = tuple[Tensor, ...] | EllipsisType


def count_of(mask: Tensor) -> Tensor:
    """Of the synapses; several times as fast as count_nonzero, and exact: float32 holds what one row sums up to."""
    return mask.sum(-1, dtype=torch.float32).sum(dtype=torch.float64)


def vacancies(
    masks: Sequence[Tensor], missing: Tensor, wanted: int, walk: tuple[int, int], *, look: bool
) -> list[tuple[Places, Tensor]]:
    """The first free places on a walk through some tensors, as many as synapses are missing.

    Args:
        masks: 1 where a synapse exists, else 0.
        missing: how many places are wanted, 0 or more.
        wanted: how many synapses there are to be in all: who meets so many places finds as many free as are missing.
        walk: start, and stride (with no divisor in common with the number of places of all masks together).
        look: end the walk as soon as there are enough; else shapes depend on no data and nothing is read back.

    Returns:
        For each mask places, all different, as an index; and boolean, true for those to be filled.
    """
    total = sum(mask.numel() for mask in masks)
    most = min(wanted, total)
    if not look:
        return _of_whole_walk(masks, missing, most, walk)
    length = min(most, 2 * int(missing))
    while True:
        parts = list(_parts(masks, walk, length))
        free = torch.zeros(length, dtype=torch.bool)
        for mask, (which, places) in zip(masks, parts, strict=True):
            free[which] = mask[places] == 0
        if length == most or bool(free.count_nonzero() >= missing):
            comes = free & (free.cumsum(0) <= missing)
            return [(places, comes[which]) for which, places in parts]
        length = min(most, 2 * length)


def _of_whole_walk(
    masks: Sequence[Tensor], missing: Tensor, length: int, walk: tuple[int, int]
) -> list[tuple[Places, Tensor]]:
    start, stride = walk
    flat = torch.cat([mask.reshape(-1) for mask in masks])
    met = (start + stride * torch.arange(length, device=flat.device)) % flat.numel()
    free = flat[met] == 0
    comes = torch.zeros_like(flat, dtype=torch.bool)
    comes[met] = free & (free.cumsum(0) <= missing)
    parts = comes.split([mask.numel() for mask in masks])
    return [(..., part.view(mask.shape)) for mask, part in zip(masks, parts, strict=True)]


def _parts(masks: Sequence[Tensor], walk: tuple[int, int], length: int) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
    """Which of the places on a walk lie in each tensor, and where there."""
    start, stride = walk
    first = 0
    places = (start + stride * np.arange(length)) % sum(mask.numel() for mask in masks)
    for mask in masks:
        which = np.flatnonzero((places >= first) & (places < first + mask.numel()))
        inside = np.unravel_index(places[which] - first, mask.shape)
        yield torch.from_numpy(which), tuple(map(torch.from_numpy, inside))
        first += mask.numel()
