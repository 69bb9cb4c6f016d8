"""The y axis of a comparison: a robust floor, and rows below it for lines that fall lower."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .curves import Curve, Panel

ROW = 0.225  # inches, a line of text


class Scale(NamedTuple):
    """A y axis from `floor` to `top`, and below it a row that gives the floor and one for each line that falls lower.

    Attributes:
        floor: data coordinates.
        top: data coordinates.
        row: height of a line of text in data coordinates.
        below: the names of the rows, the highest first.
    """

    floor: float
    top: float
    row: float
    below: list[str]

    @property
    def bottom(self) -> float:
        """Lower end of the axis with its rows."""
        return self.floor - self.row * (len(self.below) + 1.2) if self.below else self.floor

    def positions(self, name: str, values: np.ndarray) -> np.ndarray:
        """y of a line's points: those below the floor lie in its row."""
        return np.where(values < self.floor, self.row_of(name), values)

    def row_of(self, name: str) -> float:
        """y of the middle of a line's row; nan where it has none."""
        return self.floor - self.row * (self.below.index(name) + 1.6) if name in self.below else float("nan")


def make_scale(sides: Sequence[Panel], height: float) -> Scale:
    """Return a scale from the robust floor to the highest bar; `height` of the panels in inches."""
    curves = [curve for side in sides for curve in side.curves]
    dense = [side.dense for side in sides if side.dense]
    lowest = robust_floor(np.concatenate([*(curve.accuracy for curve in curves), [mean for mean, _ in dense]]))
    highest = max([float((curve.accuracy + curve.spread).max()) for curve in curves] + [sum(pair) for pair in dense])
    margin = max(0.04 * (highest - lowest), 0.1)
    floor, top = lowest - margin, highest + margin
    lows = {curve.method: float(curve.accuracy.min()) for curve in reversed(curves) if curve.accuracy.min() < floor}
    row = (top - floor) * ROW / (height - ROW * len(lows))
    return Scale(floor, top, row, sorted(lows, key=lambda method: -lows[method]))


def robust_floor(values: np.ndarray) -> float:
    """Return the smallest start of an axis on which three quarters of the values still fill a quarter or more.

    Args:
        values: in percent, shape (points,), at least one.
    """
    quartile, top = float(np.percentile(values, 25)), float(values.max())
    limit = quartile - 3 * max(top - quartile, 0.5)  # half a point: lines that are all alike still get an axis
    return float(values[values >= limit].min())


def cut_bars(curve: Curve, scale: Scale) -> np.ndarray:
    """Whether the bar of each point of a curve crosses the floor, bool (points,)."""
    return (curve.accuracy >= scale.floor) & (curve.accuracy - curve.spread < scale.floor)
