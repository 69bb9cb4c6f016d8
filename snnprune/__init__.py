"""Pruning and rewiring for spiking neural networks on SpikingJelly."""

from .connectivity import Connectivity, Difference
from .errors import InputError
from .paths import dead_neurons, effective_connectivity
from .rewiring import Dense, Fixed, GradR, Pruning, Rewiring
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
    "Pruning",
    "Rewiring",
    "Synapses",
    "__version__",
    "dead_neurons",
    "effective_connectivity",
    "find_synapses",
    "geometry",
]
