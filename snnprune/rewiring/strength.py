"""The arithmetic of hidden strengths: w = s * relu(theta), kept as hidden = s * theta. All in place.

Each function takes lists with one entry for each tensor of synapses, so that one compiled call does them all.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


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
        add_scaled(h, d, -f)
    reveal(hidden, sign, weight)


def walk(
    hidden: Sequence[Tensor],
    sign: Sequence[Tensor],
    noise: Sequence[Tensor],
    force: Sequence[float | Tensor],
    spread: Sequence[float | Tensor],
    floor: float,
) -> None:
    """theta <- max(theta - force + spread * noise, floor); then weight = s * relu(theta), in the memory of the noise.

    Args:
        hidden: moved by the optimizer already.
        sign: s, 1 or -1.
        noise: standard normal numbers; the weights afterwards.
        force: numbers, or 0-dim tensors where they must not be read back from a device.
        spread: likewise.
        floor: at most 0.
    """
    for h, s, w, f, width in zip(hidden, sign, noise, force, spread, strict=True):
        add_scaled(h, w, width)  # noise has no sign: on the hidden value it is as on the strength
        h.mul_(s).sub_(f).clamp_(min=floor)
        torch.clamp(h, min=0, out=w).mul_(s)
        h.mul_(s)


def hush(gradient: Sequence[Tensor], weight: Sequence[Tensor]) -> None:
    """Take the gradient of dormant synapses away: gradient *= 1 where the weight is not 0, else 0."""
    for g, w in zip(gradient, weight, strict=True):
        g.mul_(w != 0)


def add_scaled(values: Tensor, direction: Tensor, factor: float | Tensor) -> None:
    """values += factor * direction; a factor on a device is not read back."""
    if isinstance(factor, Tensor):
        values.addcmul_(direction, factor)
    else:
        values.add_(direction, alpha=factor)
