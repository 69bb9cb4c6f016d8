"""One-shot pruning by second-order saliency."""

from .pruning import Pruning
from .registry import register


@register("fisher")
class Fisher(Pruning):
    r"""Train, prune by Optimal Brain Damage with the Fisher information, fine-tune; see `criteria.fisher`.

    LeCun, Denker, Solla, 1990; Theis et al., 2018. Needs batches with labels; takes a backward pass for each sample.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "fisher", "global", "one-shot", 0.3
