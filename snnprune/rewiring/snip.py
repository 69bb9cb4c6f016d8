"""SNIP: single-shot pruning before training."""

from .pruning import Pruning
from .registry import register


@register("snip")
class SNIP(Pruning):
    r"""The most sensitive connections of the fresh network are kept; see `criteria.snip`.

    Lee, Ajanthan, Torr, ICLR 2019. Needs batches with labels.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "snip", "global", "one-shot", 0.0
