"""Random scores: the baseline that every criterion must beat."""

from torch import nn

from ..options import Seed, checked
from ..seeding import generator, uniform
from ..synapses import Exclude, find_synapses
from .registry import Batches, Scores, register


@register("random", needs="nothing")
@checked
def random(network: nn.Module, batches: Batches = (), *, seed: Seed = 0, exclude: Exclude = ()) -> Scores:
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
        name: uniform(entry.parameter.shape, numbers).to(entry.parameter.device)
        for name, entry in find_synapses(network, exclude=exclude).items()
    }
