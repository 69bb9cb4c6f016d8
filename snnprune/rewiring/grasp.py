"""GraSP: pruning before training that preserves the flow of gradients."""

from .pruning import Pruning
from .registry import register


@register("grasp")
class GraSP(Pruning):
    r"""What the gradient flow of the fresh network needs is kept; see `criteria.grasp`.

    Wang, Zhang, Grosse, ICLR 2020. Needs batches with labels.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "grasp", "global", "one-shot", 0.0
