"""u-Ticket: lottery tickets whose work is the same for each processing element."""

from .imp import IterativeMagnitude
from .registry import register


@register("uticket")
class UTicket(IterativeMagnitude):
    """Iterative magnitude pruning with rewinding, balanced over 16 processing elements after every round.

    Yin et al., "Workload-Balanced Pruning for Sparse Spiking Neural Networks", 2023. Another number of elements is
    `allocation="balanced=8"`; see `allocation.balanced`. Arguments as `IterativeMagnitude`.
    """

    ALLOCATION = "balanced=16"
