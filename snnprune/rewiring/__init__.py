"""Rewiring: connectivity that is learned, or chosen, together with the weights."""

from .admm import ADMM
from .base import Rewiring
from .dense import Dense
from .drop import DropPruning
from .espn import ESPN
from .fisher import Fisher
from .fixed import Fixed, shuffled
from .gmp import GradualMagnitude
from .gradr import GradR
from .grasp import GraSP
from .imp import IterativeMagnitude
from .lamp import LAMP
from .magnitude import Magnitude
from .masked import Masked
from .movement import Movement
from .pruning import Pruning
from .random import Random
from .registry import create, find, names, register
from .sipp import SiPP
from .snip import SNIP
from .synflow import SynFlow
from .taylor import Taylor
from .tickets import early_timesteps
from .wanda import Wanda

__all__ = [
    "ADMM",
    "ESPN",
    "LAMP",
    "SNIP",
    "Dense",
    "DropPruning",
    "Fisher",
    "Fixed",
    "GraSP",
    "GradR",
    "GradualMagnitude",
    "IterativeMagnitude",
    "Magnitude",
    "Masked",
    "Movement",
    "Pruning",
    "Random",
    "Rewiring",
    "SiPP",
    "SynFlow",
    "Taylor",
    "Wanda",
    "create",
    "early_timesteps",
    "find",
    "names",
    "register",
    "shuffled",
]
