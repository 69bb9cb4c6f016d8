"""Weight decay under a hidden parameter."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

# Whose weight decay is no part of the gradient (Muon: from torch 2.9 on); others say so in their parameter groups.
_DECOUPLED = tuple(
    kind for name in ("AdamW", "Adafactor", "Muon") if (kind := getattr(torch.optim, name, None)) is not None
)


def shield_dormant(optimizer: Optimizer, group: dict[str, Any], parameter: nn.Parameter, hidden: Tensor) -> None:
    """Make the optimizer's weight decay act on the weight, not on the hidden value that it is about to move.

    A dormant synapse has weight 0 and so nothing to decay (the published code decays the weight too); decaying the
    hidden value would pull dormant synapses back towards life. Call before the optimizer's step, while `parameter`
    still holds the weights; no cost without weight decay.

    Args:
        optimizer: the one about to step.
        group: its parameter group that holds `parameter`.
        parameter: holds the weights and their gradient.
        hidden: what the optimizer will move in its place; equal to the weights except where a synapse is dormant.
    """
    decay = group.get("weight_decay", 0)
    if decay == 0:
        return
    if isinstance(optimizer, _DECOUPLED) or group.get("decoupled_weight_decay", False):
        # will be multiplied by 1 - lr * decay: divide the dormant part first
        hidden.sub_(parameter).div_(1 - group["lr"] * decay).add_(parameter)
    else:
        # will be added to the gradient as decay * hidden: take the dormant part off
        assert parameter.grad is not None
        parameter.grad.sub_(hidden - parameter, alpha=decay)
