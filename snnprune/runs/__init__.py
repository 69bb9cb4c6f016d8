"""A run from its config to its summary: made, carried out, resumed, and read back.

Names are imported when they are first used: the configuration and its options need no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ..errors import Stopped

if TYPE_CHECKING:
    from .config import Config, Runtime
    from .finished_run import FinishedRun, read_run
    from .own import train
    from .run import execute, make_trainer

__all__ = ["Config", "FinishedRun", "Runtime", "Stopped", "execute", "make_trainer", "read_run", "train"]

_MODULE_OF = {
    **dict.fromkeys(("Config", "Runtime"), "config"),
    **dict.fromkeys(("FinishedRun", "read_run"), "finished_run"),
    **dict.fromkeys(("execute", "make_trainer"), "run"),
    "train": "own",
}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
