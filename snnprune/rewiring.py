"""The former name of `snnprune.methods`; it works for one release and warns."""

import warnings
from typing import Any

from . import methods


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    warnings.warn("snnprune.rewiring is now snnprune.methods", DeprecationWarning, stacklevel=2)
    return methods.Method if name == "Rewiring" else getattr(methods, name)
