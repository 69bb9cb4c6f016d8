"""Criteria: functions from a network and data to scores of how important each synapse is."""

from .fisher import fisher
from .grasp import grasp
from .magnitude import magnitude
from .movement import movement
from .random import random
from .registry import Batches, Criterion, Scores, check_batches, find, names, register, score
from .sipp import sipp
from .snip import snip
from .spike_flip import spike_flip
from .synflow import synflow
from .synops import synops
from .taylor import taylor
from .wanda import wanda

__all__ = [
    "Batches",
    "Criterion",
    "Scores",
    "check_batches",
    "find",
    "fisher",
    "grasp",
    "magnitude",
    "movement",
    "names",
    "random",
    "register",
    "score",
    "sipp",
    "snip",
    "spike_flip",
    "synflow",
    "synops",
    "taylor",
    "wanda",
]
