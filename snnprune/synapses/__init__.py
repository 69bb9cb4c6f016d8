"""The synapses of a network: its weight tensors, how each connects neurons, and runs that find that out."""

from .find import DTYPES, Exclude, Synapses, entries_of, find_synapses, named_plain_modules, unwrapped
from .geometries import Geometry, geometry, static_geometry
from .probing import probing, reset_neurons

__all__ = [
    "DTYPES",
    "Exclude",
    "Geometry",
    "Synapses",
    "entries_of",
    "find_synapses",
    "geometry",
    "named_plain_modules",
    "probing",
    "reset_neurons",
    "static_geometry",
    "unwrapped",
]
