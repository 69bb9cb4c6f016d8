"""The state that an optimizer keeps of a parameter: moments, squared gradients, step sizes and weight decay."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adadelta, Adagrad, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop

from .base import Trained
from .exact import keep_

# Optimizer -> the key of its running mean (Adagrad: sum) of squared gradients.
_SQUARES = {
    **dict.fromkeys((Adam, AdamW, NAdam, RAdam), "exp_avg_sq"),
    **dict.fromkeys((RMSprop, Adadelta), "square_avg"),
    Adagrad: "sum",
}
# Decay of the running mean that `add_squares` keeps for all other optimizers, that of Adam.
_SQUARES_DECAY = 0.999
# Lower bound of a gradient's size, so that synapses that never had a gradient can still be ranked by another factor.
_SMALLEST = 1e-15
# Optimizers whose weight decay is no part of the gradient (Muon: from torch 2.9 on); others mark their groups.
_DECOUPLED = tuple(
    kind for name in ("AdamW", "Adafactor", "Muon") if (kind := getattr(torch.optim, name, None)) is not None
)


# --- Moments


def clear_moments(optimizer: Optimizer, parameter: nn.Parameter, mask: Tensor) -> None:
    """Set the moments of a parameter to zero where `mask` (1 or 0, in the parameter's dtype) is 0."""
    for moment in moments_of(optimizer, parameter):
        keep_(moment, mask)


def moments_of(optimizer: Optimizer, parameter: nn.Parameter) -> list[Tensor]:
    """Return the optimizer's state of each element of a parameter: all tensors of its shape.

    These are momentum buffers, first and second moments, and their maxima.
    """
    values = optimizer.state.get(parameter, {}).values()
    return [value for value in values if isinstance(value, Tensor) and value.shape == parameter.shape]


def forget(optimizer: Optimizer, parameter: nn.Parameter) -> None:
    """Drop the optimizer's state of a parameter, moments and step count, as before its first step."""
    optimizer.state.pop(parameter, None)


# --- Step size


def prior_step(optimizer: Optimizer, group: dict[str, Any], parameter: nn.Parameter) -> float | Tensor:
    """Return the step size that scales the constant force of a prior, after `parameter` was updated.

    For the Adam family it is lr / (1 - beta1^t), the bias-corrected step of the first moment (as in the published Grad
    R code); for all others it is lr. It is a tensor only if the optimizer keeps lr or t on a device, so that nothing is
    read back from there.
    """
    lr, betas = group["lr"], group.get("betas")
    count = optimizer.state[parameter].get("step")
    if betas is None or count is None:
        return _plain(lr)
    return _plain(lr) / (1 - _plain(betas[0]) ** _plain(count))


def _plain(value: float | Tensor) -> float | Tensor:
    """Return a tensor on the CPU as a Python number; reading any other would wait for its device."""
    return value.item() if isinstance(value, Tensor) and value.device.type == "cpu" else value


# --- Squared gradients


def keeps_squares(optimizer: Optimizer) -> bool:
    """Return whether an optimizer keeps a running mean of squared gradients."""
    return isinstance(optimizer, tuple(_SQUARES))


def add_squares(means: Mapping[str, Tensor], trained: Sequence[Trained]) -> None:
    """Update running means of squared gradients in place, for an optimizer that keeps none.

    The means must be float32 at least: in half precision 0.999 of a number rounds to that number.
    """
    for entry in trained:
        means[entry.name].mul_(_SQUARES_DECAY).addcmul_(entry.gradient, entry.gradient, value=1 - _SQUARES_DECAY)


def gradient_sizes(
    optimizer: Optimizer, parameters: Mapping[str, nn.Parameter], means: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return the root mean square of each element's gradients, 1e-15 at least.

    Its square approximates the diagonal of the Fisher information (Li, Dangel, Tam, Raffel: "Fishers for Free?
    Approximating the Fisher Information Matrix by Recycling the Squared Gradient Accumulator", ICML 2025).

    Args:
        optimizer: of these parameters.
        parameters: name -> parameter.
        means: name -> running mean of squares, of `add_squares`; None: the optimizer's own.

    Returns:
        name -> tensor of the parameter's shape. A parameter that had no gradient yet gets the mean of all others, or
        ones if there are none.
    """
    sizes = {}
    for name, parameter in parameters.items():
        squares = means[name] if means is not None else optimizer.state.get(parameter, {}).get(_key_of(optimizer))
        if squares is not None:
            sizes[name] = squares.sqrt().clamp_(min=_SMALLEST)
    usual = torch.stack([size.mean() for size in sizes.values()]).mean() if sizes else 1.0
    return {
        name: sizes[name] if name in sizes else torch.ones_like(parameter, requires_grad=False) * usual
        for name, parameter in parameters.items()
    }


def _key_of(optimizer: Optimizer) -> str | None:
    return next((key for kind, key in _SQUARES.items() if isinstance(optimizer, kind)), None)


# --- Weight decay


def shield_dormant(optimizer: Optimizer, group: dict[str, Any], parameter: nn.Parameter, hidden: Tensor) -> None:
    """Make the optimizer's weight decay act on the weight instead of the hidden value that the optimizer updates.

    A dormant synapse has weight 0, so nothing decays (as in the published code, which decays the weight); decay of the
    hidden value would move dormant synapses back towards growth. Call before the optimizer's step, while `parameter`
    still holds the weights; without weight decay it does nothing.

    Args:
        optimizer: the optimizer whose step follows.
        group: its parameter group that holds `parameter`.
        parameter: holds the weights and their gradient.
        hidden: the tensor that the optimizer will update instead; equal to the weights except at dormant synapses.
    """
    decay = group.get("weight_decay", 0)
    if decay == 0:
        return
    if isinstance(optimizer, _DECOUPLED) or group.get("decoupled_weight_decay", False):
        # The step multiplies by 1 - lr * decay: divide the dormant part by that first.
        hidden.sub_(parameter).div_(1 - group["lr"] * decay).add_(parameter)
    else:
        # The step adds decay * hidden to the gradient: subtract the dormant part first.
        assert parameter.grad is not None
        parameter.grad.sub_(hidden - parameter, alpha=decay)
