"""Similarity of connectivities beyond chance."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ...connectivity import Connectivity
from ...errors import InputError
from ...options import checked

_CHUNK = 1 << 18  # synapses at once: little memory, and counts that float32 holds exactly (up to 2 ** 24)


@checked
def similarity(connectivities: Mapping[str, Connectivity]) -> np.ndarray:
    """Return `Connectivity.jaccard_excess` of all pairs: the Jaccard index minus that of equally dense random masks.

    Paganini and Forde, "On Iterative Neural Network Pruning, Reinitialization, and the Similarity of Masks", 2020.

    Args:
        connectivities: label -> connectivity, all of one network's shape.

    Returns:
        shape (n, n), symmetric, in [-1, 1]; 0 is chance.

    Raises:
        InputError: no connectivities, or different shapes.
    """
    _check(connectivities)
    n = len(connectivities)
    common, chance_common, chance_union, sizes = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n)), np.zeros(n)
    for name in next(iter(connectivities.values())):
        masks = torch.stack([connectivity[name].flatten().cpu() for connectivity in connectivities.values()])
        shared, prunable = _intersections(masks), masks.shape[1]
        kept = np.diag(shared)
        both = np.outer(kept, kept) / prunable
        common += shared
        sizes += kept
        chance_common += both
        chance_union += kept[:, None] + kept - both
    return _ratio(common, sizes[:, None] + sizes - common) - _ratio(chance_common, chance_union)


def _check(connectivities: Mapping[str, Connectivity]) -> None:
    if not connectivities:
        raise InputError("there are no connectivities to compare: give at least one")
    (first, one), *others = connectivities.items()
    expected = {name: tuple(mask.shape) for name, mask in one.items()}
    for label, other in others:
        found = {name: tuple(mask.shape) for name, mask in other.items()}
        for name in {**expected, **found}:
            if expected.get(name) != found.get(name):
                shapes = f"{expected.get(name, 'absent')} in {first!r} and {found.get(name, 'absent')} in {label!r}"
                raise InputError(f"{name} is {shapes}: compare connectivities of one network's shape")


def _intersections(masks: Tensor) -> np.ndarray:
    """Return the number of common synapses of all pairs (n, n), from booleans of shape (n, synapses)."""
    counts = torch.zeros(len(masks), len(masks), dtype=torch.float64, device="cpu")
    for chunk in masks.split(_CHUNK, dim=1):
        numbers = chunk.float()
        counts += (numbers @ numbers.T).double()
    return counts.numpy()


def _ratio(common: np.ndarray, union: np.ndarray) -> np.ndarray:
    """Return a Jaccard index, 1 for two empty masks."""
    return np.divide(common, union, out=np.ones_like(union), where=union > 0)
