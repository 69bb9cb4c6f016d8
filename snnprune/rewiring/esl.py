"""ESL-SNN: evolutionary structure learning for spiking networks."""

from .drop_and_grow import DropAndGrow
from .registry import register


@register("esl")
class ESL(DropAndGrow):
    """Drops by magnitude (or gradient) and grows at random (or by gradient or momentum), at constant density.

    Shen et al., "ESL-SNNs: An Evolutionary Structure Learning Strategy for Spiking Neural Networks", AAAI 2023. `drop`
    and `grow` choose among its variants. Arguments as `DropAndGrow`.
    """

    DROP, GROW, ALLOCATION, ANNEALED = "magnitude", "random", "er", True
