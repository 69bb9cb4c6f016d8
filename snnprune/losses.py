"""Losses on the output spikes over time, by name."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from .registry import Registry

Loss = Callable[[Tensor, Tensor], Tensor]


def rates(output: Tensor) -> Tensor:
    """Return firing rates [B, classes] of outputs [T, B, classes]; outputs [B, classes] are returned unchanged."""
    return output.mean(0) if output.dim() == 3 else output


def mse(output: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error between firing rates and one-hot labels, the loss of the Grad R paper.

    Args:
        output: [T, B, classes] or [B, classes], float.
        labels: [B], int64.
    """
    rate = rates(output)
    return F.mse_loss(rate, F.one_hot(labels, rate.shape[-1]).to(rate.dtype))


def cross_entropy(output: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the firing rates as logits; arguments as in `mse`."""
    return F.cross_entropy(rates(output), labels)


def tet(output: Tensor, labels: Tensor) -> Tensor:
    """Mean of the cross-entropies of all time steps (Deng et al., "Temporal Efficient Training", ICLR 2022).

    Arguments as in `mse`; with [B, classes] it is the plain cross-entropy.
    """
    if output.dim() == 2:
        return F.cross_entropy(output, labels)
    from spikingjelly.activation_based import functional

    return functional.temporal_efficient_training_cross_entropy(output, labels)


LOSSES: Registry[Loss] = Registry("loss")
LOSSES.add("mse", mse)
LOSSES.add("ce", cross_entropy)
LOSSES.add("tet", tet)


def find_loss(name: str) -> Loss:
    """Return the loss of a name.

    Raises:
        InputError: unknown name; the known ones are listed.
    """
    return LOSSES.find(name)
