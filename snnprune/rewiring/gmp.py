"""Gradual magnitude pruning."""

from .pruning import Pruning
from .registry import register


@register("gmp")
class GradualMagnitude(Pruning):
    r"""The smallest weights of all layers go while the network trains, on a cubic schedule.

    Zhu and Gupta: "To Prune, or Not to Prune", 2017. The ramp takes the first 65 % of the steps.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "magnitude", "global", "cubic", 0.65
