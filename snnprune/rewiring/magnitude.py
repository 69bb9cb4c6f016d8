"""One-shot magnitude pruning after training."""

from .pruning import Pruning
from .registry import register


@register("magnitude")
class Magnitude(Pruning):
    r"""Train, prune the smallest weights of all layers at once, fine-tune.

    Han, Pool, Tran, Dally: "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015, in one
    round. Training takes the first 30 % of the steps and fine-tuning the rest, so that the whole budget is counted.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "magnitude", "global", "one-shot", 0.3
