"""Random scores: the baseline that every criterion must beat."""

import torch
from torch import nn

from ..seeding import generator
from ..synapses import Exclude, find_synapses
from .registry import Batches, Scores, register


@register("random", needs="nothing")
def random(network: nn.Module, batches: Batches = (), *, seed: int = 0, exclude: Exclude = ()) -> Scores:
    """Numbers drawn uniformly from [0, 1).

    Assumes nothing. Ranked globally every layer keeps about the same density; use it with the layer densities of
    another method to see how much of that method's success is in those alone.

    Args:
        network: any module with synapses.
        batches: not looked at.
        seed: of the drawing; equal seeds give equal scores on every device.
        exclude: as in `find_synapses`.
    """
    numbers = generator(seed)
    return {
        name: torch.rand(entry.parameter.shape, generator=numbers, dtype=torch.float32).to(entry.parameter.device)
        for name, entry in find_synapses(network, exclude=exclude).items()
    }
