"""Second-order saliency with the diagonal of the empirical Fisher information."""

from torch import nn

from ..losses import Loss, mse
from ..options import checked
from ..probe import Axes
from ..synapses import Exclude
from .gradients import mean_over_batches
from .registry import Batches, Scores, register


@register("fisher", needs="labels")
@checked
def fisher(
    network: nn.Module, batches: Batches, *, loss: Loss = mse, exclude: Exclude = (), layout: Axes = None
) -> Scores:
    r"""Fisher: :math:`\frac{1}{2} w^2 F`, with :math:`F = \frac{1}{N} \sum_n g_n^2` over single samples.

    The saliency of Optimal Brain Damage (LeCun, Denker, Solla, 1990, equation 5), with the empirical Fisher information
    in place of the Hessian's diagonal (Theis et al., "Faster gaze prediction with dense networks and Fisher pruning",
    2018). Every sample is run on its own: N backward passes. Normalisation uses its running statistics, which a fresh
    network does not have yet.

    Assumes a trained network (the gradient's mean is near 0) and weights that do not interact.

    Args:
        network: unchanged afterwards.
        batches: (inputs, labels).
        loss: of outputs and labels.
        exclude: as in `find_synapses`.
        layout: of the inputs, as in `snnprune.graph.record`; None: found.

    Raises:
        InputError: a layer that no spike, or no gradient, reaches; or labels that do not fit the inputs.
    """
    return mean_over_batches(
        network,
        batches,
        loss,
        lambda weight, slope: (weight * slope).square() / 2,
        exclude=exclude,
        one_by_one=True,
        layout=layout,
    )
