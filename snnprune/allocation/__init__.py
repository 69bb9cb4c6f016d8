"""Allocations: from scores and a density to a connectivity, that is how many synapses each layer keeps, and which.

Every allocation works with the scores of every criterion; ties go by tensor and index. A score of -inf excludes a
synapse, unless the exact count cannot be met otherwise. A layer that is left without synapses is logged. `find` returns
an allocation by name, as `--allocation` takes it.
"""

from .balance import balanced, utilisation
from .common import Allocation, Geometries, Scores
from .grains import whole_filters, whole_kernels
from .limits import fan_in_cap, fan_out_cap, n_of_m
from .quotas import erdos_renyi, erdos_renyi_kernel, per_layer, rows, uniform
from .ranking import global_ranking, lamp
from .registry import ALLOCATIONS, find

__all__ = [
    "ALLOCATIONS",
    "Allocation",
    "Geometries",
    "Scores",
    "balanced",
    "erdos_renyi",
    "erdos_renyi_kernel",
    "fan_in_cap",
    "fan_out_cap",
    "find",
    "global_ranking",
    "lamp",
    "n_of_m",
    "per_layer",
    "rows",
    "uniform",
    "utilisation",
    "whole_filters",
    "whole_kernels",
]
