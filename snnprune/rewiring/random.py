"""Random pruning before training: the baseline."""

from .pruning import Pruning
from .registry import register


@register("random")
class Random(Pruning):
    r"""Synapses drawn at random, the same density in every layer, before the first step.

    Gale, Elsen, Hooker ("The State of Sparsity in Deep Neural Networks", 2019) show how strong this baseline is.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "random", "uniform", "one-shot", 0.0
