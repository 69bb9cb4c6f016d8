"""torch.compile where there is a working compiler."""

import logging
from collections.abc import Callable
from typing import Any

import torch

logger = logging.getLogger(__name__)


class CompiledOrEager:
    """Calls the compiled form of something; if its first call fails, the thing itself from then on.

    The first failure in a process is told in one line; where one compiles nothing, the others do not either.

    Args:
        eager: a module or function.
        options: for torch.compile.
    """

    _told = False

    def __init__(self, eager: Callable[..., Any], **options: Any) -> None:
        # The backends tell of their own troubles (no GPU, no Triton) on the first call; our one line is enough.
        for name in ("torch._library.triton", "torch.utils.cpp_extension"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._eager, self._call, self._proven = eager, torch.compile(eager, **options), False

    def __call__(self, *args: Any) -> Any:
        if self._proven:
            return self._call(*args)
        try:
            result = self._call(*args)
        except Exception as error:  # whatever a missing or broken compiler raises
            if not CompiledOrEager._told:
                reason = (str(error).strip().splitlines() or [""])[0][:120]
                logger.warning(
                    "going on without torch.compile, which failed here (%s: %s)", type(error).__name__, reason
                )
                CompiledOrEager._told = True
            self._call = self._eager
            result = self._eager(*args)
        self._proven = True
        return result


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Arithmetic as one pass over memory. Numbers in lists become tensors: they change from step to step.

    Args:
        function: takes tensors, numbers that never change, and lists of tensors or numbers.
    """
    fast = CompiledOrEager(function, dynamic=False)

    def call(*arguments: Any) -> Any:
        return fast(*([_as_tensor(value) for value in a] if isinstance(a, list) else a for a in arguments))

    return call


def _as_tensor(value: Any) -> Any:
    return torch.as_tensor(value) if isinstance(value, int | float) else value
