"""Finding a lottery ticket early: when it no longer changes, and with how few time steps."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..criteria import Batches
from ..errors import InputError
from ..synapses import probing, reset_neurons


def changed(before: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> float:
    """The share of a ticket's synapses that were not in an earlier one, in [0, 1].

    The published distance (You et al., "Drawing Early-Bird Tickets", ICLR 2020) counts the differences over all
    synapses, which at a density of 1 % are below 2 % for any two tickets; ours are counted over those kept.

    Args:
        before: name -> 1 or 0, or boolean.
        now: name -> boolean, the same shapes.
    """
    new = sum(int((mask & (before[name] == 0)).sum()) for name, mask in now.items())
    return new / max(1, sum(int(mask.sum()) for mask in now.values()))


def early_timesteps(network: Any, batches: Batches, *, threshold: float = 0.6) -> int:
    r"""Early-Time: how few time steps tell the classes almost as all do.

    The first t with :math:`KL(P_t \| P_T) / KL(P_2 \| P_T)` below the threshold, where :math:`P_t` is the softmax of
    the output's mean over the first t steps (Kim et al., "Exploring Lottery Ticket Hypothesis in Spiking Neural
    Networks", ECCV 2022, section 4.2).

    Args:
        network: returns [T, B, classes]; left as it was.
        batches: inputs, with or without labels.
        threshold: above 0, below 1.

    Returns:
        from 2 to T; T itself where no fewer are enough, or the network has no more than two.

    Raises:
        InputError: no batches, or the output has no time axis.
    """
    if not batches:
        raise InputError("Early-Time looks at data and was given none: pass batches=[inputs, ...]")
    divergence = torch.zeros(0)
    with torch.no_grad(), probing(network):
        for batch in batches:
            reset_neurons(network)
            output = network(batch if isinstance(batch, Tensor) else batch[0]).float()
            if output.dim() != 3:
                raise InputError(f"Early-Time wants outputs [T, B, classes], found shape {tuple(output.shape)}")
            found = _divergence(output).cpu()
            divergence = found + divergence if divergence.numel() else found
    timesteps = len(divergence)
    for t in range(3, timesteps):
        if divergence[t - 1] < threshold * divergence[1]:
            return t
    return timesteps


def _divergence(output: Tensor) -> Tensor:
    """KL(P_t || P_T) for t = 1 to T, summed over the batch."""
    steps = torch.arange(1, len(output) + 1, device=output.device)[:, None, None]
    logs = F.log_softmax(output.cumsum(0) / steps, dim=-1)
    return (logs.exp() * (logs - logs[-1])).sum((1, 2))
