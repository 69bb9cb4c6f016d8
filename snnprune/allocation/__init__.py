"""Allocations: from scores and a density to a connectivity, with a rule for how many synapses each layer keeps.

Every allocation works with the scores of every criterion; of equal scores the first are taken, by tensor and index. A
score of -inf excludes a synapse, unless the exact count cannot be met otherwise. A layer that loses all its synapses is
reported in the log. `find` returns an allocation by name, as the option `--allocation` takes it.
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
