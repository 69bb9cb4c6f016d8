"""How large gradients are: the mean of their squares, which most optimizers keep anyway."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Adadelta, Adagrad, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop

from .base import Moved

# Optimizer -> what it calls its mean (Adagrad: its sum) of the squared gradients of each element.
_KEPT = {
    **dict.fromkeys((Adam, AdamW, NAdam, RAdam), "exp_avg_sq"),
    **dict.fromkeys((RMSprop, Adadelta), "square_avg"),
    Adagrad: "sum",
}
# Of the mean that is kept here for all other optimizers; that of Adam.
_DECAY = 0.999
# In the place of no gradient at all, so that such elements can still be ranked among themselves.
_FAINT = 1e-15


def keeps_squares(optimizer: Optimizer) -> bool:
    """Whether an optimizer keeps a mean of squared gradients."""
    return isinstance(optimizer, tuple(_KEPT))


def add_squares(means: Mapping[str, Tensor], moved: Sequence[Moved]) -> None:
    """Take these gradients into means that are kept for an optimizer that keeps none, in place.

    The means are float32 at least: in fewer digits 0.999 of a number is that number.
    """
    for entry in moved:
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
