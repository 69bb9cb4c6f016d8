"""Distribution of the hidden parameter, or of the weights, over the course of a training."""

import math
import os

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from ...options import checked
from ..style import (
    DENSITY,
    FAINT,
    INK,
    MEDIUM,
    ORANGE,
    SMALL,
    check_suffix,
    count_on,
    dress,
    finish,
    layer_label,
    new_figure,
    plain,
)
from .footage import Footage
from .turnover import short

_BINS = 160  # at most
_STRAY = 1e-5  # share of the synapses that may lie outside of the axis
# Quantity: title, label of the axis, note.
_WORDS = {
    "strength": ("Hidden strengths", "strength", "alive above 0, dormant below"),
    "hidden": ("Hidden parameters", "hidden parameter", "absent synapses start from 0 after each selection"),
    "zone": ("Hidden parameters", "hidden parameter", "dormant between the two lines, alive outside"),
    "weight": ("Weights of the existing synapses", "weight", "absent synapses are not counted"),
}


@checked
def plot_hidden(film: Footage, *, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw for each layer the distribution of the hidden parameter, frame by frame; counts have a log scale.

    Once a method has discarded its hidden parameter, the weights are counted.

    Args:
        film: a recorded training.
        path: the file to replace; its suffix decides the format, .png, .svg or .pdf. None: nothing is written.

    Returns:
        the figure.

    Raises:
        InputError: an unknown suffix, or the file cannot be written.
    """
    check_suffix(path)
    title, label, note = _WORDS["zone" if np.isfinite(film.zone).any() else film.quantity]
    columns = 1 if len(film.layers) < 4 else 2
    rows = -(-len(film.layers) // columns)
    heading = f"{title} during the training"
    figure = new_figure(9.5 * columns, 1 + 3.2 * rows, title=heading, subtitle=f"{film.title}\n{note}")
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    norm = LogNorm(0.7, max(film.counts.max(), 2))
    for index, (axes, name) in enumerate(zip(panels, film.layers, strict=False)):
        _draw(axes, film, index, norm)
        dress(axes, y=label, title=plain(layer_label(name)))
    for axes in panels[len(film.layers) :]:
        axes.set_axis_off()
    for axes in panels[-columns:]:
        axes.set_xlabel("epoch")
    _draw_scale(figure, panels, norm)
    return finish(figure, path)


def _draw(axes: Axes, film: Footage, index: int, norm: LogNorm) -> None:
    counts, edges = _cropped(film.counts[:, index], film.edges[index])
    borders = _borders(film.epochs)
    shown = np.ma.masked_equal(counts.T, 0)
    axes.pcolormesh(borders, edges, shown, cmap=DENSITY, norm=norm, linewidth=0, rasterized=True)
    axes.axhline(0, color=INK, linewidth=1)
    if np.isfinite(film.zone).any():
        for side in (1, -1):
            axes.plot(film.epochs, side * film.zone, color=ORANGE, linewidth=1.6)
    if film.fixed.any():
        start = borders[int(film.fixed.argmax())]
        axes.axvline(start, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
        corner = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points", "va": "top"}
        axes.annotate("fixed: weights from here", (start, 1), (4, -4), fontsize=SMALL, color=FAINT, **corner)
    axes.set_xlim(0, borders[-1])
    count_on(axes.xaxis, ticks=10)


def _borders(epochs: np.ndarray) -> np.ndarray:
    """Return the edges of the frames' columns: half-way between neighbours."""
    last = epochs[-1] + (np.diff(epochs)[-1] / 2 if len(epochs) > 1 else epochs[-1])
    return np.concatenate([[0], (epochs[1:] + epochs[:-1]) / 2, [last]])


def _cropped(counts: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bins around 0 without those that hold only stray synapses; merged where they are too many."""
    stray = _STRAY * counts.sum(axis=1, keepdims=True)
    middle = counts.shape[1] // 2
    empty = [int((side.cumsum(axis=1) <= stray).sum(axis=1).min()) for side in (counts, counts[:, ::-1])]
    low, high = (max(middle - bins, 1) for bins in empty)
    size = 1 << max(0, math.ceil(math.log2((low + high) / _BINS)))
    first, last = middle - -(-low // size) * size, middle + -(-high // size) * size
    starts = np.arange(first, last, size)
    return np.add.reduceat(counts[:, :last], starts, axis=1), edges[np.append(starts, last)]


def _draw_scale(figure: Figure, panels: np.ndarray, norm: LogNorm) -> None:
    numbers = FuncFormatter(lambda value, _: short(value))
    bar = figure.colorbar(panels[0].collections[0], ax=list(panels), format=numbers, pad=0.02, aspect=30)
    steps = (1, 2, 5) if norm.inverse(1.0) < 1e3 else (1,)
    bar.ax.yaxis.set_major_locator(LogLocator(subs=steps))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.set_label("synapses (log scale; white: none)", labelpad=9, fontsize=MEDIUM, color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, labelcolor=INK)
