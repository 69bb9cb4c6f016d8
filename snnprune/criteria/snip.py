"""SNIP: the sensitivity of the loss to each connection."""

from torch import nn

from ..losses import Loss, mse
from ..options import checked
from ..probe import weights_of
from ..synapses import Exclude
from .gradients import mean_over_batches
from .registry import Batches, Scores, register


@register("snip", needs="labels")
@checked
def snip(network: nn.Module, batches: Batches, *, loss: Loss = mse, exclude: Exclude = ()) -> Scores:
    r"""SNIP: :math:`|w\,g| / \sum |w\,g|`, with the gradient g of the mean loss of the batches.

    Lee, Ajanthan, Torr: "SNIP: Single-shot Network Pruning based on Connection Sensitivity", ICLR 2019, equation 6.
    Made for a fresh network, before any training.

    Assumes that the gradient at initialisation predicts the importance after training. With surrogate gradients that is
    doubtful: in a spiking ResNet-19 it did worse than random above 80 % sparsity (Kim et al., ECCV 2022).

    Args:
        network: unchanged afterwards.
        batches: (inputs, labels).
        loss: of outputs and labels.
        exclude: as in `find_synapses`.

    Raises:
        InputError: a layer that no spike, or no gradient, reaches.
    """
    slope = mean_over_batches(network, batches, loss, lambda _, part: part, exclude=exclude)
    sensitivity = {name: (weight * slope[name]).abs() for name, weight in weights_of(network, exclude).items()}
    whole = sum(score.sum() for score in sensitivity.values())
    return {name: score / whole for name, score in sensitivity.items()}
