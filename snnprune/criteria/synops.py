"""Synaptic operations: scores by weight per spike that a synapse carries."""

import torch
from torch import nn

from ..options import checked
from ..probe import Axes, weights_of
from ..synapses import Exclude
from .activity import input_sums
from .registry import Batches, Scores, register


@register("synops", needs="inputs")
@checked
def synops(network: nn.Module, batches: Batches, *, exclude: Exclude = (), layout: Axes = None) -> Scores:
    r"""Synaptic-operation cost: :math:`|w_{ij}| / n_j`, with :math:`n_j` the spikes that the synapse carries.

    A spike costs one operation at every synapse that it reaches, for a convolution at every position. Synapses with
    much weight per operation score high; those that carry no spike on the batches have no effect and get 0. An analog
    input counts one operation wherever it is not 0. This criterion is ours; it trades accuracy for operations (see
    docs/criteria.md).

    Assumes enough batches that rare spikes occur.

    Args:
        network: unchanged afterwards.
        batches: inputs, with or without labels.
        exclude: as in `find_synapses`.
        layout: of the inputs, as in `snnprune.graph.record`; None: found.

    Raises:
        InputError: a layer that no spike reaches.
    """
    (carried,) = input_sums(network, batches, lambda x: (x != 0).to(x.dtype), exclude=exclude, layout=layout)
    return {
        name: torch.where(carried[name] > 0, weight.abs() / carried[name].clamp(min=1), 0)
        for name, weight in weights_of(network, exclude).items()
    }
