"""Curves from the rows of a comparison: means and spreads over seeds, densest point first."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...errors import InputError
from .sides import SIDES

_NEEDED = ("method", "side", "density", "seed", "accuracy")
_SAME = 1.05  # densities within this factor are one level: methods miss their target by a few synapses


class Curve(NamedTuple):
    """One method on one side, densest point first; all values in percent, shape (points,).

    Attributes:
        method: its name.
        density: mean over the seeds.
        accuracy: mean over the seeds.
        spread: standard deviation of the accuracy over the seeds, 0 for a single one.
    """

    method: str
    density: np.ndarray
    accuracy: np.ndarray
    spread: np.ndarray


class Panel(NamedTuple):
    """Content of one panel.

    Attributes:
        name: a key of `SIDES`.
        dense: mean and standard deviation of the dense network's accuracy in percent; None where there is none.
        curves: in order of appearance.
    """

    name: str
    dense: tuple[float, float] | None
    curves: list[Curve]


def in_order(sides: Iterable[str]) -> list[str]:
    """Return the sides that occur, SNN before ANN.

    Raises:
        InputError: none, or an unknown one.
    """
    found = list(dict.fromkeys(sides))
    if unknown := [side for side in found if side not in SIDES]:
        raise InputError(f"the side of a comparison must be one of {', '.join(SIDES)}, found {unknown[0]!r}")
    if not found:
        raise InputError("there is nothing to compare: give the results of at least one method")
    return [side for side in SIDES if side in found]


def read_sides(rows: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Return means and spreads for each side, method and level of density.

    Args:
        rows: as in `plot_comparison`.

    Raises:
        InputError: as `plot_comparison`.
    """
    _check(rows)
    return [_side(name, [row for row in rows if row["side"] == name]) for name in in_order(_column(rows, "side"))]


def choose_methods(rows: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the rows of some methods in their order, after those of the dense network.

    Raises:
        InputError: no methods, or an unknown one (the known ones are listed).
    """
    _check(rows)
    known = list(dict.fromkeys(_column(rows, "method")))
    if unknown := [name for name in methods if name not in known]:
        raise InputError(f"there is no method {unknown[0]!r} in these rows: choose from {', '.join(known)}")
    dense = [row for row in rows if row["density"] == 1]
    chosen = [row for name in dict.fromkeys(methods) for row in rows if row["method"] == name and row["density"] < 1]
    if not chosen:
        raise InputError("there is no sparse network to draw: choose at least one method with a density below 1")
    return dense + chosen


def levels(densities: Iterable[float]) -> list[float]:
    """Return the smallest density of each level, ascending."""
    starts: list[float] = []
    for density in sorted(densities):
        if not starts or density > _SAME * starts[-1]:
            starts.append(density)
    return starts


def _check(rows: Sequence[Mapping[str, Any]]) -> None:
    for number, row in enumerate(rows):
        if missing := [key for key in _NEEDED if key not in row]:
            raise InputError(f"row {number} has no {missing[0]}; each row needs {', '.join(_NEEDED)}")
        if not 0 < row["density"] <= 1:
            raise InputError(f"the density of row {number} must be a share in (0, 1], found {row['density']}")
        if not 0 <= row["accuracy"] <= 1:
            raise InputError(f"the accuracy of row {number} must be a share in [0, 1], found {row['accuracy']}")
    in_order(_column(rows, "side"))
    if all(row["density"] == 1 for row in rows):
        raise InputError("all rows have density 1: give at least one row of a sparse network")


def _side(name: str, rows: list[Mapping[str, Any]]) -> Panel:
    dense = [100 * row["accuracy"] for row in rows if row["density"] == 1]
    sparse = [row for row in rows if row["density"] < 1]
    starts = levels(_column(sparse, "density"))
    curves = [
        _curve(method, [row for row in sparse if row["method"] == method], starts)
        for method in dict.fromkeys(_column(sparse, "method"))
    ]
    return Panel(name, (float(np.mean(dense)), _spread(dense)) if dense else None, curves)


def _curve(method: str, rows: list[Mapping[str, Any]], starts: list[float]) -> Curve:
    points: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        points.setdefault(bisect_right(starts, row["density"]), []).append(row)
    groups = [points[level] for level in sorted(points, reverse=True)]
    accuracies = [[100 * row["accuracy"] for row in group] for group in groups]
    density = np.array([100 * np.mean(_column(group, "density")) for group in groups])
    return Curve(
        method, density, np.array([np.mean(a) for a in accuracies]), np.array([_spread(a) for a in accuracies])
    )


def _column(rows: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    return [row[key] for row in rows]


def _spread(values: list[float]) -> float:
    """Return the sample standard deviation: with three seeds that of the population is a fifth too small."""
    return math.sqrt(np.var(values, ddof=1)) if len(values) > 1 else 0.0
