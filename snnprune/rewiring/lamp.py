"""One-shot magnitude pruning with layer-adaptive densities."""

from .pruning import Pruning
from .registry import register


@register("lamp")
class LAMP(Pruning):
    r"""Train, prune by LAMP scores, fine-tune; see `allocation.lamp`.

    Lee, Park, Mo, Ahn, Shin, ICLR 2021.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "magnitude", "lamp", "one-shot", 0.3
