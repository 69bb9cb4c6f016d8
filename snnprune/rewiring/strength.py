"""The arithmetic of hidden strengths: w = s * relu(theta), kept as hidden = s * theta. All in place.

Each function takes lists with one entry for each tensor of synapses, so that one compiled call does them all.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def aim(hidden: Sequence[Tensor], sign: Sequence[Tensor], mu: float, out: Sequence[Tensor]) -> None:
    """out = s * sign(theta - mu), the direction away from the prior's centre, which is sign(hidden - s * mu)."""
    for h, s, direction in zip(hidden, sign, out, strict=True):
        torch.add(h, s, alpha=-mu, out=direction).sign_()


def advance(
    hidden: Sequence[Tensor],
    sign: Sequence[Tensor],
    direction: Sequence[Tensor],
    weight: Sequence[Tensor],
    force: Sequence[float | Tensor],
) -> None:
    """hidden -= force * direction, the prior's part of the step; then weight = s * relu(theta).

    Args:
        hidden: moved by the optimizer already.
        sign: s, 1 or -1.
        direction: of the prior; may be `sign` itself or the memory of `weight`.
        weight: written.
        force: numbers, or 0-dim tensors where they must not be read back from a device.
    """
    for h, d, f in zip(hidden, direction, force, strict=True):
        if isinstance(f, Tensor):
            h.addcmul_(d, f, value=-1)
        else:
            h.add_(d, alpha=-f)
    reveal(hidden, sign, weight)


def reveal(hidden: Sequence[Tensor], sign: Sequence[Tensor], weight: Sequence[Tensor]) -> None:
    """weight = s * relu(theta): the hidden value where its sign is s, 0 elsewhere."""
    for h, s, w in zip(hidden, sign, weight, strict=True):
        torch.mul(h, s, out=w).clamp_(min=0).mul_(s)
