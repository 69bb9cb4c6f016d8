"""SET: sparse evolutionary training."""

from .drop_and_grow import DropAndGrow
from .registry import register


@register("set")
class SET(DropAndGrow):
    """Drops the smallest positive and the largest negative weights and grows as many synapses at random.

    Mocanu et al., "Scalable training of artificial neural networks with adaptive sparse connectivity inspired by
    network science", Nature Communications 2018: an Erdos-Renyi connectivity, and 30 % of each tensor at every update.
    The paper updates once an epoch, goes on to the end, and leaves the output layer dense; here updates are as frequent
    as everybody's and stop at `end`, so that what was grown last can learn, and the output layer is pruned as the
    others are (`exclude` keeps it dense). Arguments as `DropAndGrow`.
    """

    DROP, GROW, ALLOCATION, ANNEALED = "signed", "random", "er", False
