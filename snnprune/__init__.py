"""Pruning and rewiring for spiking neural networks on SpikingJelly."""

import warnings
from typing import Any

from . import methods
from .connectivity import Connectivity, Difference
from .errors import InputError
from .methods import Dense, Fixed, GradR, Method, Pruning
from .paths import dead_neurons, effective_connectivity
from .synapses import Geometry, Synapses, find_synapses, geometry
from .version import __version__

__all__ = [
    "Connectivity",
    "Dense",
    "Difference",
    "Fixed",
    "Geometry",
    "GradR",
    "InputError",
    "Method",
    "Pruning",
    "Synapses",
    "__version__",
    "dead_neurons",
    "effective_connectivity",
    "find_synapses",
    "geometry",
    "methods",
]


def __getattr__(name: str) -> Any:
    if name == "Rewiring":
        warnings.warn("snnprune.Rewiring is now snnprune.Method", DeprecationWarning, stacklevel=2)
        return Method
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
