"""Where a network goes on a chip, and what would make it fit."""

from .fit import fit
from .result import Placement, Verdict

__all__ = ["Placement", "Verdict", "fit"]
