"""Magnitude: scores by the absolute value of a weight."""

from torch import nn

from ..options import checked
from ..probe import weights_of
from ..synapses import Exclude
from .registry import Batches, Scores, register


@register("magnitude", needs="nothing")
@checked
def magnitude(network: nn.Module, batches: Batches = (), *, exclude: Exclude = ()) -> Scores:
    r"""Magnitude: :math:`|w|`.

    Han, Pool, Tran, Dally: "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015.

    Assumes, if layers are ranked together, that their weights have the same scale.

    Args:
        network: any module with synapses.
        batches: unused.
        exclude: as in `find_synapses`.
    """
    return {name: weight.abs() for name, weight in weights_of(network, exclude).items()}
