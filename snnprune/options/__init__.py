"""Options and their checks: the annotation of an argument declares what it takes.

`checked` reads the annotations of a function, and checks and converts every argument that is passed: a new option is
checked by its annotation alone. The types here declare ranges of numbers; `int`, `float`, `bool`, `str`, Literal and
classes mean what they say. This package imports no torch, so that a command line is read fast.
"""

from .checked import check, check_fields, checked
from .convert import Unfit, convert
from .declared import (
    Converted,
    Count,
    CountOrZero,
    Fraction,
    Interval,
    NonNegative,
    OpenFraction,
    Positive,
    Seed,
    Share,
    ShareOfSteps,
    Steps,
)

__all__ = [
    "Converted",
    "Count",
    "CountOrZero",
    "Fraction",
    "Interval",
    "NonNegative",
    "OpenFraction",
    "Positive",
    "Seed",
    "Share",
    "ShareOfSteps",
    "Steps",
    "Unfit",
    "check",
    "check_fields",
    "checked",
    "convert",
]
