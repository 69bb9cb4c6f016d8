"""Gradients with the memory layout of their values."""

from typing import Any

import torch
from torch import Tensor


def keep_strides(value: Tensor) -> Tensor:
    """Return a value whose gradient will have the strides of the value.

    Batch normalisation in channels-last memory takes three times as long on a CPU when its gradient arrives in another
    layout, as it does from a sum over time steps and from a compiled neuron. While torch.compile traces a network this
    does nothing: the compiler chooses layouts itself.

    Args:
        value: any shape. Values with fewer than three dimensions, expanded values, and the proxies of torch.fx are
            returned as they are.
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
