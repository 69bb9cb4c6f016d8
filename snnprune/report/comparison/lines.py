"""Many legible lines in one panel: a style for each, a scale for all, and names beside the panel."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from scipy.optimize import isotonic_regression

from ..style import BLUE, INK, ORANGE, SMALL, plain
from .scale import Scale
from .sides import CONTROL_ENDINGS

_COLORS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A4FA3", "#8A5A3C")
_GREYS = ("#7D848A", "#A9AEB3")
_MARKERS = ("o", "s", "^", "D", "P", "X", "p", "<", ">", "*", "h")
_DASHES = ("solid", (0, (6, 1.5, 1.2, 1.5)), (0, (1.2, 1.2)))


class Label(NamedTuple):
    """A line's name beside the panel.

    Attributes:
        text: of the name.
        x: of the line's end, data coordinates.
        y: of the line's end, data coordinates.
        style: of the line.
    """

    text: str
    x: float
    y: float
    style: dict[str, Any]


def line_styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return colour, dashes and marker of each line: controls grey and dashed, all others in colour.

    No two are alike among 264 lines and 22 controls.
    """
    controls = [name for name in names if name.endswith(CONTROL_ENDINGS)]
    styles: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(name for name in names if name not in controls):
        dashes = _DASHES[i // len(_COLORS) % len(_DASHES)]
        styles[name] = {"color": _COLORS[i % len(_COLORS)], "linestyle": dashes, "marker": _MARKERS[i % len(_MARKERS)]}
    for i, name in enumerate(controls):
        grey, marker = _GREYS[i // len(_MARKERS) % len(_GREYS)], _MARKERS[i % len(_MARKERS)]
        styles[name] = {"color": grey, "linestyle": "dashed", "marker": marker, "markerfacecolor": "white"}
    return styles


def name_lines(axes: Axes, labels: Sequence[Label], scale: Scale) -> None:
    """Write the names to the right of a panel in the order of the lines' ends, joined to them by thin lines."""
    labels = sorted(labels, key=lambda label: label.y)
    across = axes.get_yaxis_transform()
    for label, y in zip(labels, _spread([label.y for label in labels], scale), strict=True):
        color = label.style["color"]
        leader = {"arrowstyle": "-", "color": color, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0, "alpha": 0.7}
        axes.annotate("", (label.x, label.y), (1.06, y), textcoords=across, arrowprops=leader, annotation_clip=False)
        sample = {"transform": across, "clip_on": False, "linewidth": 1.6, "markersize": 5.5, **label.style}
        axes.plot([1.065, 1.085, 1.105], [y, y, y], markevery=[1], **sample)
        axes.text(1.12, y, plain(label.text), transform=across, va="center", fontsize=SMALL, color=INK)


def _spread(ideal: list[float], scale: Scale) -> np.ndarray:
    """Return ascending positions a row apart, with the smallest sum of squared distances from the ideal ones."""
    steps = scale.row * np.arange(len(ideal))
    free = isotonic_regression(np.array(ideal) - steps).x
    return steps + np.clip(free, scale.bottom + scale.row / 2, scale.top - steps[-1])
