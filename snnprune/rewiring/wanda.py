"""One-shot pruning by weights and activations."""

from .pruning import Pruning
from .registry import register


@register("wanda")
class Wanda(Pruning):
    r"""Train, prune the inputs of each neuron by weight times activity, fine-tune; see `criteria.wanda`.

    Sun et al., ICLR 2024, who do not fine-tune. Needs batches.

    Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "wanda", "rows", "one-shot", 0.3
