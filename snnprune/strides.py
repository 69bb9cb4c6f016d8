"""Gradients that lie in memory as their values do."""

from typing import Any

import torch
from torch import Tensor


def keep_strides(value: Tensor) -> Tensor:
    """The value itself; its gradient comes back with the strides of the value.

    Batch normalisation in channels-last memory takes three times as long on a CPU when its gradient arrives in another
    order, as it does from a sum over time steps and from a compiled neuron. A compiler that sees the whole network
    arranges memory by itself: for it this does nothing.

    Args:
        value: any shape. A value with fewer than three dimensions, or one that was expanded, is returned as it is, and
            so is a proxy of torch.fx.
    """
    if torch.compiler.is_compiling() or not isinstance(value, Tensor) or not value.requires_grad:
        return value
    return value if value.dim() < 3 or 0 in value.stride() else _KeepStrides.apply(value)


class _KeepStrides(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.strides = inputs[0].stride()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        if gradient.stride() == ctx.strides:
            return gradient
        return gradient.new_empty_strided(gradient.shape, ctx.strides).copy_(gradient)
