"""First-order Taylor expansion of the loss."""

from torch import nn

from ..losses import Loss, mse
from ..synapses import Exclude
from .gradients import mean_over_batches
from .registry import Batches, Scores, register


@register("taylor", needs="labels")
def taylor(network: nn.Module, batches: Batches, *, loss: Loss = mse, exclude: Exclude = ()) -> Scores:
    r"""Taylor: the mean over batches of :math:`|g w|`, with :math:`g = \partial L / \partial w`.

    To first order, how much the loss of a batch changes when the weight is taken away (Molchanov et al., "Pruning
    Convolutional Neural Networks for Resource Efficient Inference", 2017, equation 5, for single weights). Unlike in
    `snip`, batches that pull a weight in opposite directions do not cancel.

    Assumes that weights are taken away one at a time, by small amounts, and that the surrogate's gradient says what a
    spike train would do.

    Args:
        network: left as it was.
        batches: (inputs, labels).
        loss: of outputs and labels.
        exclude: as in `find_synapses`.

    Raises:
        InputError: a layer that no spike, or no gradient, reaches.
    """
    return mean_over_batches(network, batches, loss, lambda weight, slope: (weight * slope).abs(), exclude=exclude)
