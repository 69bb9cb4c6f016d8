"""Density of each layer, side by side with its share of the network."""

import os
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...connectivity import Connectivity
from ...options import checked
from ..style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PERCENT,
    SMALL,
    check_suffix,
    dress,
    finish,
    layer_label,
    new_figure,
    plain,
)


@checked
def plot_layers(connectivity: Connectivity, *, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw the density of each layer, and its share of all remaining and of all prunable synapses.

    Args:
        connectivity: of any network; layers appear in its order, the first on top.
        path: the file to replace; its suffix decides the format, .png, .svg or .pdf. None: nothing is written.

    Returns:
        the figure.

    Raises:
        InputError: an unknown suffix, or the file cannot be written.
    """
    check_suffix(path)
    layers = connectivity.layers()
    total = f"{connectivity.nonzero:,} of {connectivity.prunable:,} synapses, density {connectivity.density:.3%}"
    figure = new_figure(13, 1.6 + 0.55 * len(layers), title="What each layer keeps", subtitle=total)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.2, 1))
    rows = np.arange(len(layers))
    _draw_densities(left, rows, list(layers.values()), connectivity.density)
    _draw_shares(right, rows, list(layers.values()), connectivity)
    left.set_yticks(rows, [plain(layer_label(name)) for name in layers])
    left.set_ylim(len(layers) - 0.4, -0.6)
    return finish(figure, path)


def _draw_densities(axes: Axes, rows: np.ndarray, layers: list[dict[str, Any]], overall: float) -> None:
    density = [100 * layer["density"] for layer in layers]
    largest = max(*density, 100 * overall) or 1.0
    axes.barh(rows, density, height=0.6, color=BLUE)
    axes.axvline(100 * overall, color=ORANGE, linewidth=1.4, linestyle=(0, (4, 2)), label="whole network")
    # a text that the line would cross begins after it
    ends = [100 * overall if 0 <= 100 * overall - end < 0.4 * largest else end for end in density]
    _label(axes, rows, ends, [f"{layer['nonzero']:,} of {layer['prunable']:,}" for layer in layers])
    axes.set_xlim(0, 1.5 * largest)
    axes.set_xticks(
        [tick for tick in MaxNLocator(5, steps=(1, 2, 5, 10)).tick_values(0, largest) if tick <= 1.001 * largest]
    )
    _finish(axes, "density of each layer")


def _draw_shares(axes: Axes, rows: np.ndarray, layers: list[dict[str, Any]], connectivity: Connectivity) -> None:
    remaining = [100 * layer["nonzero"] / max(connectivity.nonzero, 1) for layer in layers]
    prunable = [100 * layer["prunable"] / connectivity.prunable for layer in layers]
    for shares, offset, color, text in ((remaining, -0.18, BLUE, "remaining"), (prunable, 0.18, GREY, "prunable")):
        axes.barh(rows + offset, shares, height=0.32, color=color, label=f"of all {text} synapses")
        _label(axes, rows + offset, shares, [f"{share:.1f}%" for share in shares])
    axes.set_xlim(0, 1.15 * max(*remaining, *prunable))
    _finish(axes, "share of each layer")


def _label(axes: Axes, rows: np.ndarray, ends: list[float], texts: list[str]) -> None:
    """Write a text after each bar, on white so that no line crosses it."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    for row, end, text in zip(rows, ends, texts, strict=True):
        axes.annotate(
            text, (end, row), (5, 0), textcoords="offset points", va="center", fontsize=SMALL, color=INK, bbox=box
        )


def _finish(axes: Axes, x: str) -> None:
    axes.xaxis.set_major_formatter(PERCENT)
    axes.legend(frameon=False, fontsize=SMALL, labelcolor=INK, ncols=2, loc="lower left", bbox_to_anchor=(-0.02, 1))
    axes.tick_params(axis="y", length=0)
    dress(axes, x=x, grid="x")
