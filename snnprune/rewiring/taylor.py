"""Gradual pruning by the first-order Taylor expansion of the loss."""

from .pruning import Pruning
from .registry import register


@register("taylor")
class Taylor(Pruning):
    r"""What the loss would miss least goes, while the network trains; see `criteria.taylor`.

    Molchanov et al., 2017 and 2019, who prune a few units and train on, in turns. Needs batches with labels.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "taylor", "global", "cubic", 0.65
