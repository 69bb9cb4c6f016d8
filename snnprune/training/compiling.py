"""torch.compile where it works, and the eager network where it does not."""

import logging
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn

logger = logging.getLogger(__name__)

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
    # The backends tell of their own troubles (no GPU, no Triton) on the first call; the one line below is enough.
    for name in ("torch._library.triton", "torch.utils.cpp_extension"):
        logging.getLogger(name).setLevel(logging.ERROR)
    compiled = torch.compile(network)
    return compiled if mode == "on" else _OrEager(network, compiled)


class _OrEager:
    """Calls the compiled network; if its first call fails, the network itself from then on."""

    def __init__(self, network: nn.Module, compiled: Callable[..., Any]) -> None:
        self._network, self._call, self._proven = network, compiled, False

    def __call__(self, *args: Any) -> Any:
        if self._proven:
            return self._call(*args)
        try:
            result = self._call(*args)
        except Exception as error:  # whatever a missing or broken compiler raises
            reason = (str(error).strip().splitlines() or [""])[0][:120]
            logger.warning("training without torch.compile, which failed here (%s: %s)", type(error).__name__, reason)
            self._call = self._network
            result = self._network(*args)
        self._proven = True
        return result
