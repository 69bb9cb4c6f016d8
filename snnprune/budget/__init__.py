"""What a network costs and where it fits: operations that really happen, energy with its assumptions, chips."""

from .chip import Chip, Fact, read_chip
from .energy import COSTS, Cost, Energy, estimate_energy
from .fit import fit
from .operations import LayerOperations, Operations, count_operations
from .placement import Placement
from .to_chip import to_chip
from .wiring import Wired, wire

__all__ = [
    "COSTS",
    "Chip",
    "Cost",
    "Energy",
    "Fact",
    "LayerOperations",
    "Operations",
    "Placement",
    "Wired",
    "count_operations",
    "estimate_energy",
    "fit",
    "read_chip",
    "to_chip",
    "wire",
]
