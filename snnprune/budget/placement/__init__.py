"""Placement of a network on a chip, and changes that would make it fit."""

from .fit import fit
from .result import Placement, Verdict

__all__ = ["Placement", "Verdict", "fit"]
