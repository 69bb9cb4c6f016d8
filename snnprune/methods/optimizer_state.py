"""State that optimizers keep for a parameter: moments, squared gradients; and weight decay under a hidden parameter."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adadelta, Adagrad, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop

from .base import Trained

# --- Moments


def prior_step(optimizer: Optimizer, group: dict[str, Any], parameter: nn.Parameter) -> float | Tensor:
    """The step size that a prior's constant force is scaled with, after `parameter` was updated.

    For the Adam family it is lr / (1 - beta1^t), the bias-corrected step of the first moment (as the published Grad R
    code does); for all others it is lr. A tensor only where the optimizer keeps lr or t on a device, so that nothing
    is read back from there.
    """
    lr, betas = group["lr"], group.get("betas")
    count = optimizer.state[parameter].get("step")
    if betas is None or count is None:
        return _plain(lr)
    return _plain(lr) / (1 - _plain(betas[0]) ** _plain(count))


def clear_moments(optimizer: Optimizer, parameter: nn.Parameter, mask: Tensor) -> None:
    """Set to zero, where `mask` (1 or 0, the parameter's dtype) is 0, whatever the optimizer keeps for a parameter.

    These are all tensors of its shape: momentum buffers, first and second moments, their maxima.
    """
    for moment in moments_of(optimizer, parameter):
        moment.mul_(mask)


def moments_of(optimizer: Optimizer, parameter: nn.Parameter) -> list[Tensor]:
    """Tensors of a parameter's shape that an optimizer keeps for it."""
    values = optimizer.state.get(parameter, {}).values()
    return [value for value in values if isinstance(value, Tensor) and value.shape == parameter.shape]


def forget(optimizer: Optimizer, parameter: nn.Parameter) -> None:
    """Let an optimizer begin anew with a parameter: no moments, no count of steps, as before its first step."""
    optimizer.state.pop(parameter, None)


def _plain(value: float | Tensor) -> float | Tensor:
    """A Python number where that costs no synchronisation."""
    return value.item() if isinstance(value, Tensor) and value.device.type == "cpu" else value


# --- Squared gradients

# Optimizer -> what it calls its mean (Adagrad: its sum) of the squared gradients of each element.
_KEPT = {
    **dict.fromkeys((Adam, AdamW, NAdam, RAdam), "exp_avg_sq"),
    **dict.fromkeys((RMSprop, Adadelta), "square_avg"),
    Adagrad: "sum",
}
# Of the mean that is kept here for all other optimizers; that of Adam.
_DECAY = 0.999
# Stands for a gradient of exactly 0, so that such elements can still be ranked among themselves.
_FAINT = 1e-15


def keeps_squares(optimizer: Optimizer) -> bool:
    """Whether an optimizer keeps a mean of squared gradients."""
    return isinstance(optimizer, tuple(_KEPT))


def add_squares(means: Mapping[str, Tensor], trained: Sequence[Trained]) -> None:
    """Update means of squared gradients, for an optimizer that keeps none, in place.

    The means are float32 at least: in fewer digits 0.999 of a number is that number.
    """
    for entry in trained:
        means[entry.name].mul_(_DECAY).addcmul_(entry.gradient, entry.gradient, value=1 - _DECAY)


def gradient_sizes(
    optimizer: Optimizer, parameters: Mapping[str, nn.Parameter], means: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """The root mean square of the gradients of each element, 1e-15 at least.

    Li, Dangel, Tam, Raffel: "Fishers for Free? Approximating the Fisher Information Matrix by Recycling the Squared
    Gradient Accumulator", ICML 2025: its square stands for the diagonal of the Fisher information.

    Args:
        optimizer: of these parameters.
        parameters: name -> parameter.
        means: name -> mean of squares, of `add_squares`; None: what the optimizer keeps.

    Returns:
        name -> tensor of the parameter's shape. A parameter that had no gradient yet gets the mean of all others, or
        ones if there are none.
    """
    sizes = {}
    for name, parameter in parameters.items():
        kept = means[name] if means is not None else optimizer.state.get(parameter, {}).get(_name_in(optimizer))
        if kept is not None:
            sizes[name] = kept.sqrt().clamp_(min=_FAINT)
    usual = torch.stack([size.mean() for size in sizes.values()]).mean() if sizes else 1.0
    return {
        name: sizes[name] if name in sizes else torch.ones_like(parameter, requires_grad=False) * usual
        for name, parameter in parameters.items()
    }


def _name_in(optimizer: Optimizer) -> str | None:
    return next((name for kind, name in _KEPT.items() if isinstance(optimizer, kind)), None)


# --- Weight decay

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
        hidden: updated by the optimizer in its place; equal to the weights except where a synapse is dormant.
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
