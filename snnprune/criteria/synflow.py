"""SynFlow: scores by the flow through a synapse in a linearised network."""

from torch import nn

from ..errors import InputError
from ..options import checked
from ..paths import flow
from ..probe import first_inputs, undisturbed, weights_of
from ..synapses import Exclude, check_layers, find_synapses
from .registry import Batches, Scores, register


@register("synflow", needs="inputs")
@checked
def synflow(network: nn.Module, batches: Batches, *, exclude: Exclude = ()) -> Scores:
    r"""SynFlow: :math:`|w|\,\partial R / \partial |w|`, with R the summed output for an input of ones.

    Tanaka, Kunin, Yamins, Ganguli: "Pruning neural networks without any data by iteratively conserving synaptic flow",
    NeurIPS 2020, equation 2. R must be positively homogeneous, which spikes are not: it is computed with absolute
    weights, without biases, with neurons and normalisation replaced by the identity and max-pooling by average pooling.
    In float64, so that deep networks do not overflow; scores are then scaled to a maximum of 1.

    Assumes that pruning takes many rounds with new scores in each (the method `synflow` takes 100): in a single round
    whole layers disappear.

    Args:
        network: unchanged afterwards.
        batches: inputs; only the shape of one sample of the first is used.
        exclude: as in `find_synapses`; excluded layers pass the flow on by their absolute weights.

    Raises:
        InputError: no path of synapses leads through the network.
    """
    check_layers(find_synapses(network, exclude=exclude), "synflow")
    weights = {name: weight.double().abs() for name, weight in weights_of(network, ()).items()}
    with undisturbed(network):
        slopes = flow(network, weights, first_inputs(batches)[:1], exact=True)
    chosen = weights_of(network, exclude)
    scores = {name: weights[name] * slopes[name] for name in chosen}
    largest = max(float(score.max()) for score in scores.values())
    if largest == 0:
        silent = [name for name, weight in weights.items() if not weight.any()]
        raise InputError(
            "no path of synapses leads through the network, so all scores would be 0: "
            f"check {', '.join(silent or scores)}"
        )
    return {name: (score / largest).to(chosen[name].dtype) for name, score in scores.items()}
