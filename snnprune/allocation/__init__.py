"""How many synapses each layer keeps, and which: from scores and a density to a connectivity.

Every allocation works with the scores of every criterion; ties go by tensor and index. A score of -inf marks a synapse
that is not to be had: it is taken only where a count that is promised to be exact cannot be met without it. A layer
that is emptied is told in the log. `find` gives an allocation by name, as `--allocation` takes it.
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
