"""Wanda: scores by weight times activity."""

import torch
from torch import nn

from ..options import checked
from ..probe import Axes, weights_of
from ..synapses import Exclude
from .activity import input_sums
from .registry import Batches, Scores, register


@register("wanda", needs="inputs")
@checked
def wanda(network: nn.Module, batches: Batches, *, exclude: Exclude = (), layout: Axes = None) -> Scores:
    r"""Wanda: :math:`|w_{ij}| \cdot \lVert x_j \rVert_2`, the norm over all samples, time steps and positions.

    Sun et al.: "A Simple and Effective Pruning Approach for Large Language Models", ICLR 2024, equation 1. The paper
    compares the inputs of one neuron with each other (as the method `wanda` does). For spikes the squared norm is their
    number.

    Assumes a trained network.

    Args:
        network: unchanged afterwards.
        batches: inputs, with or without labels.
        exclude: as in `find_synapses`.
        layout: of the inputs, as in `snnprune.graph.record`; None: found.

    Raises:
        InputError: a layer that no spike reaches.
    """
    (power,) = input_sums(network, batches, torch.square, exclude=exclude, layout=layout)
    return {name: weight.abs() * power[name].sqrt() for name, weight in weights_of(network, exclude).items()}
