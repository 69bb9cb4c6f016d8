"""Methods: pruning and rewiring that decide the connectivity of a network while an optimizer trains it."""

from .base import Method, Phase
from .controls import Dense, Fixed, shuffled
from .masked import Masked
from .pruning.admm import ADMM
from .pruning.drop import DropPruning
from .pruning.espn import ESPN
from .pruning.imp import IterativeMagnitude, UTicket, early_timesteps
from .pruning.movement import Movement
from .pruning.presets import (
    LAMP,
    SNIP,
    Fisher,
    GradualMagnitude,
    GraSP,
    Magnitude,
    Random,
    SiPP,
    SynFlow,
    Taylor,
    Wanda,
)
from .pruning.pruning import Pruning
from .pruning.squisher import Squisher
from .registry import METHODS, create, find, names, needs, register
from .rewiring.deepr import DeepR
from .rewiring.drop_and_grow import ESL, NDSNN, SET, DropAndGrow, RigL
from .rewiring.gradr import GradR
from .rewiring.softdeepr import SoftDeepR
from .rewiring.stds import STDS
from .rewiring.upr import UPR

__all__ = [
    "ADMM",
    "ESL",
    "ESPN",
    "LAMP",
    "METHODS",
    "NDSNN",
    "SET",
    "SNIP",
    "STDS",
    "UPR",
    "DeepR",
    "Dense",
    "DropAndGrow",
    "DropPruning",
    "Fisher",
    "Fixed",
    "GraSP",
    "GradR",
    "GradualMagnitude",
    "IterativeMagnitude",
    "Magnitude",
    "Masked",
    "Method",
    "Movement",
    "Phase",
    "Pruning",
    "Random",
    "RigL",
    "SiPP",
    "SoftDeepR",
    "Squisher",
    "SynFlow",
    "Taylor",
    "UTicket",
    "Wanda",
    "create",
    "early_timesteps",
    "find",
    "names",
    "needs",
    "register",
    "shuffled",
]
