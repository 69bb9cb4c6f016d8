"""Movement: whether learning moves a weight away from zero."""

from torch import nn

from ..losses import Loss, mse
from ..synapses import Exclude
from .gradients import mean_over_batches
from .registry import Batches, Scores, register


@register("movement", needs="labels")
def movement(network: nn.Module, batches: Batches, *, loss: Loss = mse, exclude: Exclude = ()) -> Scores:
    r"""Movement: the mean over batches of :math:`-g w` (Sanh, Wolf, Rush: "Movement Pruning", NeurIPS 2020, section 3).

    Above 0 where the gradient step makes the weight larger, below where it takes it towards 0. The paper sums over the
    steps of a training while the weights change, as the method `movement` does; this is the same at fixed weights.

    Assumes a training that moves weights much: fine-tuning, not the end of a converged one.

    Args:
        network: left as it was.
        batches: (inputs, labels).
        loss: of outputs and labels.
        exclude: as in `find_synapses`.

    Raises:
        InputError: a layer that no spike, or no gradient, reaches.
    """
    return mean_over_batches(network, batches, loss, lambda weight, slope: -weight * slope, exclude=exclude)
