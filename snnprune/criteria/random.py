"""Random scores: the baseline that every criterion must beat."""

import torch
from torch import nn

from ..seeding import generator
from ..synapses import Exclude, find_synapses
from .registry import Batches, Scores, register


@register("random", needs="nothing")
def random(network: nn.Module, batches: Batches = (), *, seed: int = 0, exclude: Exclude = ()) -> Scores:
    """Random: numbers drawn uniformly from [0, 1).

    Assumes nothing. Under a global ranking every layer keeps about the same density. With the layer densities of
    another method it shows how much of that method's accuracy is due to the layer densities alone.

    Args:
        network: any module with synapses.
        batches: unused.
        seed: of the random numbers; equal seeds give equal scores on every device.
        exclude: as in `find_synapses`.
    """
    numbers = generator(seed)
    return {
        name: torch.rand(entry.parameter.shape, generator=numbers, dtype=torch.float32).to(entry.parameter.device)
        for name, entry in find_synapses(network, exclude=exclude).items()
    }
