"""torch.compile where it works, and the eager network where it does not."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn

from ..compiling import CompiledOrEager

Compile = Literal["auto", "on", "off"]
# Compiling takes 10 to 60 s: below so many steps a training is over before that pays.
WORTHWHILE_STEPS = 2000


def forward_of(network: nn.Module, mode: Compile, *, steps: int) -> Callable[..., Any]:
    """What to call in place of a network in a training of so many steps.

    Args:
        network: any module.
        mode: "on" compiles it, "off" does not, "auto" compiles it if the training is long enough to pay for that, and
            goes on without, saying so in one line, where there is no working compiler.
        steps: optimizer steps of the training.

    Returns:
        The network itself or its compiled form; parameters and buffers are shared.
    """
    if mode == "off" or (mode == "auto" and steps < WORTHWHILE_STEPS):
        return network
    return torch.compile(network) if mode == "on" else CompiledOrEager(network)
