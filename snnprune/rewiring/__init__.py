"""Rewiring: connectivity that is learned, or chosen, together with the weights."""

from .admm import ADMM
from .base import Rewiring
from .deepr import DeepR
from .dense import Dense
from .drop import DropPruning
from .drop_and_grow import DropAndGrow
from .esl import ESL
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
from .ndsnn import NDSNN
from .pruning import Pruning
from .random import Random
from .registry import create, find, names, needs, register
from .rigl import RigL
from .set import SET
from .sipp import SiPP
from .snip import SNIP
from .softdeepr import SoftDeepR
from .squisher import Squisher
from .stds import STDS
from .synflow import SynFlow
from .taylor import Taylor
from .tickets import early_timesteps
from .upr import UPR
from .uticket import UTicket
from .wanda import Wanda

__all__ = [
    "ADMM",
    "ESL",
    "ESPN",
    "LAMP",
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
    "Movement",
    "Pruning",
    "Random",
    "Rewiring",
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
