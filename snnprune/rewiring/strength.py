"""The arithmetic of hidden strengths: w = s * relu(theta), kept as hidden = s * theta. All in place.

Each function takes lists with one entry for each tensor of synapses, so that one compiled call does them all.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..compiling import CompiledOrEager


def reveal(hidden: Sequence[Tensor], sign: Sequence[Tensor], weight: Sequence[Tensor]) -> None:
    """weight = s * relu(theta): the hidden value where its sign is s, 0 elsewhere."""
    for h, s, w in zip(hidden, sign, weight, strict=True):
        torch.mul(h, s, out=w).clamp_(min=0).mul_(s)


def aim(hidden: Sequence[Tensor], sign: Sequence[Tensor], mu: float, out: Sequence[Tensor]) -> None:
    """out = s * sign(theta - mu), which is sign(hidden - s * mu): against it the prior moves the hidden value."""
    for h, s, direction in zip(hidden, sign, out, strict=True):
        torch.add(h, s, alpha=-mu, out=direction).sign_()


def press(
    hidden: Sequence[Tensor],
    sign: Sequence[Tensor],
    direction: Sequence[Tensor],
    weight: Sequence[Tensor],
    force: Sequence[float | Tensor],
) -> None:
    """hidden -= force * direction, the prior's part of a step; then weight = s * relu(theta), as `reveal`.

    Args:
        hidden: moved by the optimizer already.
        sign: s, 1 or -1.
        direction: of the prior; may be the memory of `weight`.
        weight: written.
        force: numbers, or 0-dim tensors where they must not be read back from a device.
    """
    for h, d, f in zip(hidden, direction, force, strict=True):
        if isinstance(f, Tensor):
            h.addcmul_(d, f, value=-1)
        else:
            h.add_(d, alpha=-f)
    reveal(hidden, sign, weight)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one pass over memory. Numbers in lists become tensors: they change from step to step."""
    fast = CompiledOrEager(function, dynamic=False)

    def call(*arguments: Any) -> Any:
        return fast(*([torch.as_tensor(x) for x in a] if isinstance(a, list) else a for a in arguments))

    return call
