"""SynFlow: scores by the flow through a synapse in a linearised network."""

from typing import Any

from torch import nn

from ..errors import InputError
from ..graph.flow import flow
from ..options import checked
from ..probe import first_batch, need_autograd, weights_of
from ..synapses import Exclude, entries_of
from .registry import Batches, Scores, register


@register("synflow", needs="inputs")
@checked
def synflow(network: nn.Module, batches: Batches, *, exclude: Exclude = (), layout: Any = None) -> Scores:
    r"""SynFlow: :math:`|w|\,\partial R / \partial |w|`, with R the summed output for an input of ones.

    Tanaka, Kunin, Yamins, Ganguli: "Pruning neural networks without any data by iteratively conserving synaptic flow",
    NeurIPS 2020, equation 2. R must be positively homogeneous, which spikes are not: it is computed with absolute
    weights, without biases, with neurons and normalisation replaced by the identity and max-pooling by average pooling;
    a product of two values that depend on the input, as in gated or attending layers, counts as their sum.
    In float64, so that deep networks do not overflow; scores are then scaled to a maximum of 1.

    Assumes that pruning takes many rounds with new scores in each (the method `synflow` takes 100): in a single round
    whole layers disappear.

    Args:
        network: unchanged afterwards.
        batches: inputs; only the shape of one sample of the first is used.
        exclude: as in `find_synapses`; excluded layers pass the flow on by their absolute weights.
        layout: of the inputs, as in `snnprune.graph.record`; None: found.

    Raises:
        InputError: no path of synapses leads through the network.
    """
    weights = {
        name: weight.double().abs()
        for name, weight in weights_of(network, entries_of((), getattr(exclude, "include", ()))).items()
    }
    need_autograd(network)
    slopes = flow(network, weights, first_batch(batches), layout=layout)
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
