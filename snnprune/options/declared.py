"""Declared types of options: numbers with their ranges, as `typing.Annotated`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The range of a number.

    Attributes:
        least: smallest number, or None.
        above: bound below all numbers, in place of `least`.
        most: largest number, or None.
        below: bound above all numbers, in place of `most`.
        role: meaning of the number, for messages ("a share of the steps").
        words: description of the range in messages, where "in (0, 1]" or "1 or more" does not say enough.
    """

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    role: str = ""
    words: str = ""

    @property
    def start(self) -> float | None:
        """The lower bound, itself in the range or not."""
        return self.above if self.least is None else self.least

    @property
    def stop(self) -> float | None:
        """The upper bound, likewise."""
        return self.below if self.most is None else self.most

    def holds(self, number: float) -> bool:
        """Return whether a number is in the range; nan is in none."""
        return (
            number == number
            and (self.least is None or number >= self.least)
            and (self.above is None or number > self.above)
            and (self.most is None or number <= self.most)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        if self.words:
            return self.words
        if self.start is None and self.stop is None:
            return "a number"
        if self.stop is None:
            return f"above {self.above}" if self.least is None else f"{self.least} or more"
        if self.start is None:
            return f"below {self.below}" if self.most is None else f"{self.most} or less"
        opening, closing = "(" if self.least is None else "[", ")" if self.most is None else "]"
        return f"in {opening}{self.start}, {self.stop}{closing}"


@dataclass(frozen=True)
class Converted:
    """A function that checks and converts a value; its errors name the argument themselves."""

    function: Callable[[Any], Any]


Share = Annotated[float, Interval(above=0, most=1)]
Fraction = Annotated[float, Interval(least=0, most=1)]
OpenFraction = Annotated[float, Interval(above=0, below=1)]
ShareOfSteps = Annotated[float, Interval(least=0, most=1, role="a share of the steps")]
Positive = Annotated[float, Interval(above=0)]
NonNegative = Annotated[float, Interval(least=0)]
Count = Annotated[int, Interval(least=1)]
CountOrZero = Annotated[int, Interval(least=0)]
Steps = Annotated[int, Interval(least=1, words="an integer, 1 or more")]
Seed = Annotated[int, Interval(least=0)]
