"""The synapses of a network: its weight tensors, how each connects neurons, and runs that find that out."""

from .entries import Exclude, Include, entries_of
from .find import DTYPES, Synapses, find_synapses, synapses_named
from .geometries import Geometry, geometry, geometry_named, static_geometry
from .modules import named_plain_modules, unwrapped
from .places import places
from .probing import probing, reset_neurons
from .unpruned import EXPECTED, Unpruned, shown_unpruned, unpruned

__all__ = [
    "DTYPES",
    "EXPECTED",
    "Exclude",
    "Geometry",
    "Include",
    "Synapses",
    "Unpruned",
    "entries_of",
    "find_synapses",
    "geometry",
    "geometry_named",
    "named_plain_modules",
    "places",
    "probing",
    "reset_neurons",
    "shown_unpruned",
    "static_geometry",
    "synapses_named",
    "unpruned",
    "unwrapped",
]
