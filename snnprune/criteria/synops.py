"""Synaptic operations: what a synapse is worth for each spike that it carries."""

import torch
from torch import nn

from ..probe import weights_of
from ..synapses import Exclude
from .activity import input_sums
from .registry import Batches, Scores, register


@register("synops", needs="inputs")
def synops(network: nn.Module, batches: Batches, *, exclude: Exclude = ()) -> Scores:
    r"""Synaptic-operation cost: :math:`|w_{ij}| / n_j`, with :math:`n_j` the spikes that the synapse carries.

    A spike costs one operation at every synapse that it reaches, for a convolution at every position. Kept are the
    synapses with most weight for each operation; those that carry no spike on the batches do nothing and get 0. Inputs
    that are no spikes count one operation where they are not 0. Ours; it trades accuracy for operations, see docs.

    Assumes enough batches that a rare spike is seen.

    Args:
        network: left as it was.
        batches: inputs, with or without labels.
        exclude: as in `find_synapses`.

    Raises:
        InputError: a layer that no spike reaches.
    """
    (carried,) = input_sums(network, batches, lambda x: (x != 0).float(), exclude=exclude)
    return {
        name: torch.where(carried[name] > 0, weight.abs() / carried[name].clamp(min=1), 0)
        for name, weight in weights_of(network, exclude).items()
    }
