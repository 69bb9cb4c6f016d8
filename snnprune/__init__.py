"""Pruning and rewiring for spiking neural networks on SpikingJelly.

Names are imported when they are first used, so that `import snnprune` and `--help` take no second.
"""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .version import __version__

if TYPE_CHECKING:
    from . import allocation, budget, criteria, export, graph, methods, report, runs, training
    from .connectivity import Connectivity, Difference
    from .graph import geometry
    from .methods import Dense, Fixed, GradR, Method, Pruning
    from .paths import dead_neurons, effective_connectivity
    from .synapses import Geometry, Synapses, find_synapses, unpruned

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
    "allocation",
    "budget",
    "criteria",
    "dead_neurons",
    "effective_connectivity",
    "export",
    "find_synapses",
    "geometry",
    "graph",
    "methods",
    "report",
    "runs",
    "training",
    "unpruned",
]

_MODULE_OF = {
    **dict.fromkeys(("Connectivity", "Difference"), "connectivity"),
    **dict.fromkeys(("Dense", "Fixed", "GradR", "Method", "Pruning"), "methods"),
    **dict.fromkeys(("dead_neurons", "effective_connectivity"), "paths"),
    "geometry": "graph",
    **dict.fromkeys(("Geometry", "Synapses", "find_synapses", "unpruned"), "synapses"),
}


def __getattr__(name: str) -> Any:
    if name == "Rewiring":
        warnings.warn("snnprune.Rewiring is now snnprune.Method", DeprecationWarning, stacklevel=2)
        name = "Method"
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
    if name in __all__:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
