"""SynFlow: how much of the flow through the whole network passes a synapse."""

from torch import nn

from ..errors import InputError
from ..paths import flow
from ..probe import first_inputs, undisturbed, weights_of
from ..synapses import Exclude
from .registry import Batches, Scores, register


@register("synflow", needs="inputs")
def synflow(network: nn.Module, batches: Batches, *, exclude: Exclude = ()) -> Scores:
    r"""SynFlow: :math:`|w|\,\partial R / \partial |w|`, with R the summed output for an input of ones.

    Tanaka, Kunin, Yamins, Ganguli: "Pruning neural networks without any data by iteratively conserving synaptic flow",
    NeurIPS 2020, equation 2. R needs a network that is positively homogeneous, which spikes are not: it is taken on the
    network with absolute weights, without biases, its neurons and normalisations replaced by the identity, and maximum
    by average pooling. In float64, so that deep networks do not overflow; the largest score is then made 1.

    Assumes that the scores are taken anew while pruning goes on (the method `synflow` does it in 100 rounds): in one
    round whole layers vanish.

    Args:
        network: left as it was.
        batches: inputs; only the shape of one sample of the first is used.
        exclude: as in `find_synapses`; what it names takes part with its absolute weights.

    Raises:
        InputError: no path of synapses leads through the network.
    """
    weights = {name: weight.double().abs() for name, weight in weights_of(network, ()).items()}
    with undisturbed(network):
        slopes = flow(network, weights, first_inputs(batches)[:1], exact=True)
    scores = {name: weights[name] * slopes[name] for name in weights_of(network, exclude)}
    largest = max(float(score.max()) for score in scores.values())
    if largest == 0:
        silent = [name for name, weight in weights.items() if not weight.any()]
        raise InputError(
            "no path of synapses leads through the network and the scores would all be 0: "
            f"look at {', '.join(silent or scores)}"
        )
    return {name: (score / largest).float() for name, score in scores.items()}
