"""Cost of a network and the chips that it fits: operations that happen, energy with its assumptions, placements."""

from .assess import assess
from .assessment import Assessment
from .chip import CHIPS, Chip, Fact, find_chip, read_chip
from .counting import LayerOperations
from .energy import COSTS, Cost, Energy, estimate_energy
from .operations import Operations, count_operations
from .placement.fit import fit
from .placement.result import Placement
from .to_chip import to_chip
from .wiring import Wired, wire

__all__ = [
    "CHIPS",
    "COSTS",
    "Assessment",
    "Chip",
    "Cost",
    "Energy",
    "Fact",
    "LayerOperations",
    "Operations",
    "Placement",
    "Wired",
    "assess",
    "count_operations",
    "estimate_energy",
    "find_chip",
    "fit",
    "read_chip",
    "to_chip",
    "wire",
]
