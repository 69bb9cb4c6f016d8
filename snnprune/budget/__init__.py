"""What a network costs: synaptic operations that really happen, and energy with its assumptions."""

from .energy import COSTS, Cost, Energy, estimate_energy
from .operations import LayerOperations, Operations, count_operations

__all__ = ["COSTS", "Cost", "Energy", "LayerOperations", "Operations", "count_operations", "estimate_energy"]
