"""Clipping of gradients to the norm of what exists."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer

from .exact import masked


def clip_grad_norm_(
    optimizer: Optimizer, masks: Mapping[int, Tensor], max_norm: float, *, norm_type: float, error_if_nonfinite: bool
) -> Tensor:
    """Scale all gradients of an optimizer so that the norm over existing synapses and all else is at most `max_norm`.

    Args:
        optimizer: whose gradients they are.
        masks: identity of a parameter -> boolean, true where a synapse exists.
        max_norm: as in `torch.nn.utils.clip_grad_norm_`.
        norm_type: likewise.
        error_if_nonfinite: likewise.

    Returns:
        The norm before, without dimensions.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    total = torch.nn.utils.get_total_norm(
        list(_existing(parameters, masks)), norm_type=norm_type, error_if_nonfinite=error_if_nonfinite
    )
    torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, total)
    return total


def _existing(parameters: Iterable[Tensor], masks: Mapping[int, Tensor]) -> Iterable[Tensor]:
    """Yield the gradients, with 0 at absent synapses."""
    for parameter in parameters:
        gradient = parameter.grad
        assert gradient is not None
        mask = masks.get(id(parameter))
        yield gradient if mask is None else masked(gradient, mask)
