"""RigL: growth where the gradient is largest."""

from .drop_and_grow import DropAndGrow
from .registry import register


@register("rigl")
class RigL(DropAndGrow):
    """Drops the smallest weights and grows the synapses with the largest gradients.

    Evci, Gale, Menick, Castro, Elsen: "Rigging the Lottery: Making All Tickets Winners", ICML 2020, algorithm 1: an
    Erdos-Renyi-Kernel connectivity, every 100 steps, 30 % at first and less and less on a cosine, until 75 % of the
    training. Arguments as `DropAndGrow`.
    """

    DROP, GROW, ALLOCATION, ANNEALED = "magnitude", "gradient", "erk", True
