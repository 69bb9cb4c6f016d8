"""Taylor: scores by the first-order expansion of the loss."""

from torch import nn

from ..losses import Loss, mse
from ..options import checked
from ..synapses import Exclude
from .gradients import mean_over_batches
from .registry import Batches, Scores, register


@register("taylor", needs="labels")
@checked
def taylor(network: nn.Module, batches: Batches, *, loss: Loss = mse, exclude: Exclude = ()) -> Scores:
    r"""Taylor: the mean over batches of :math:`|g w|`, with :math:`g = \partial L / \partial w`.

    To first order the change of a batch's loss when the weight is removed (Molchanov et al., "Pruning Convolutional
    Neural Networks for Resource Efficient Inference", 2017, equation 5, for single weights). Unlike in `snip`,
    gradients of opposite sign in different batches do not cancel.

    Assumes that weights are removed one at a time, that they are small, and that the surrogate gradient predicts the
    change of the spike trains.

    Args:
        network: unchanged afterwards.
        batches: (inputs, labels).
        loss: of outputs and labels.
        exclude: as in `find_synapses`.

    Raises:
        InputError: a layer that no spike, or no gradient, reaches.
    """
    return mean_over_batches(network, batches, loss, lambda weight, slope: (weight * slope).abs(), exclude=exclude)
