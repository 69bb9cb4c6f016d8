"""What an optimizer remembers of a parameter, and how far it moves one."""

from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer


def prior_step(optimizer: Optimizer, group: dict[str, Any], parameter: nn.Parameter) -> float | Tensor:
    """The step size that a prior's constant force is scaled with, after `parameter` was moved.

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
    """Set to zero, where `mask` (1 or 0, the parameter's dtype) is 0, whatever the optimizer remembers of a parameter.

    These are all tensors of its shape: momentum buffers, first and second moments, their maxima.
    """
    for moment in moments_of(optimizer, parameter):
        moment.mul_(mask)


def moments_of(optimizer: Optimizer, parameter: nn.Parameter) -> list[Tensor]:
    """What an optimizer remembers of each element of a parameter: all tensors of its shape."""
    values = optimizer.state.get(parameter, {}).values()
    return [value for value in values if isinstance(value, Tensor) and value.shape == parameter.shape]


def forget(optimizer: Optimizer, parameter: nn.Parameter) -> None:
    """Let an optimizer begin anew with a parameter: no moments, no count of steps, as before its first step."""
    optimizer.state.pop(parameter, None)


def _plain(value: float | Tensor) -> float | Tensor:
    """A Python number where that costs no synchronisation."""
    return value.item() if isinstance(value, Tensor) and value.device.type == "cpu" else value
