"""Movement: scores by how far a gradient step moves a weight away from zero."""

from torch import nn

from ..losses import Loss, mse
from ..options import checked
from ..synapses import Exclude
from .gradients import mean_over_batches
from .registry import Batches, Scores, register


@register("movement", needs="labels")
@checked
def movement(network: nn.Module, batches: Batches, *, loss: Loss = mse, exclude: Exclude = ()) -> Scores:
    r"""Movement: the mean over batches of :math:`-g w` (Sanh, Wolf, Rush: "Movement Pruning", NeurIPS 2020, section 3).

    Positive if the gradient step moves the weight away from 0, negative if towards 0. The paper sums over the steps of
    a training while the weights change, as the method `movement` does; this is the same sum at fixed weights.

    Assumes a training in which weights still change much, such as fine-tuning, not a converged one.

    Args:
        network: unchanged afterwards.
        batches: (inputs, labels).
        loss: of outputs and labels.
        exclude: as in `find_synapses`.

    Raises:
        InputError: a layer that no spike, or no gradient, reaches.
    """
    return mean_over_batches(network, batches, loss, lambda weight, slope: -weight * slope, exclude=exclude)
