"""What a network costs, and on what: synaptic operations that really happen, energy with its assumptions, chips."""

from .chip import Chip, Fact, read_chip
from .energy import COSTS, Cost, Energy, estimate_energy
from .operations import LayerOperations, Operations, count_operations

__all__ = [
    "COSTS",
    "Chip",
    "Cost",
    "Energy",
    "Fact",
    "LayerOperations",
    "Operations",
    "count_operations",
    "estimate_energy",
    "read_chip",
]
