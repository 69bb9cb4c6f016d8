"""How many synapses came, went and stayed while a network was trained, layer by layer."""

import os

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from ..style import INK, SMALL, count_on, dress, layer_label, new_figure, plain, save_figure
from .footage import CAME, STAYED, TRIED, WENT, Footage
from .scenes import COLORS, WORDS

# A line on white or grey wants more colour than a filled tile.
LINES = {CAME: COLORS[CAME], WENT: "#56B4E9", TRIED: "#F0A35E"}


def plot_turnover(path: str | os.PathLike[str], film: Footage) -> None:
    """Draw for each layer how many synapses were pruned, regrown and survived from frame to frame (log scale).

    Args:
        path: the PNG file to replace.
        film: a recorded training.

    Raises:
        InputError: the file cannot be written.
    """
    columns = 1 if len(film.layers) < 4 else 2
    rows = -(-len(film.layers) // columns)
    note = f"{film.title}\nlog scale; since the frame before, {len(film)} frames in all"
    figure = new_figure(9.5 * columns, 1 + 2.6 * rows, title="Synapses that came, went and stayed", subtitle=note)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for index, (axes, name) in enumerate(zip(panels, film.layers, strict=False)):
        draw_turnover(axes, film, index)
        dress(axes, y="synapses", title=f"{plain(layer_label(name))}, of {film.prunable[index]:,}", grid="y")
    for axes in panels[len(film.layers) :]:
        axes.set_axis_off()
    for axes in panels[-columns:]:
        axes.set_xlabel("epoch")
    place = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.98)}
    panels[columns - 1].legend(frameon=False, fontsize=SMALL, labelcolor=INK, ncols=4, **place)
    save_figure(path, figure)


def draw_turnover(axes: Axes, film: Footage, index: int) -> None:
    """One layer: what stayed as an area, what came and went as lines."""
    epochs, floor = film.epochs, 0.8
    axes.fill_between(epochs, film.survived[:, index], floor, color=COLORS[STAYED], alpha=0.3, lw=0, label="stayed")
    for kind, values, width in ((CAME, film.regrown, 1.6), (WENT, film.pruned, 3.2), (TRIED, film.tried, 1.6)):
        # "went" is wide and lies below: where as many come as go, both are seen; nothing has no place on a log scale
        shown = np.where(values[:, index] > 0, values[:, index], np.nan)
        axes.plot(
            epochs,
            shown,
            color=LINES[kind],
            label=WORDS[kind],
            linewidth=width,
            marker="o",
            markersize=width + 1.4,
            zorder=5 - width,
        )
    axes.set_yscale("log")
    axes.set_ylim(floor, 1.6 * max(film.present[:, index].max(), film.tried[:, index].max(), 2))
    axes.set_xlim(0, epochs[-1])
    axes.yaxis.set_major_locator(LogLocator(numticks=6))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    count_on(axes.xaxis, ticks=10)


def _short(value: float) -> str:
    """A number as people say it: 10 k, 1 M."""
    size, unit = next((pair for pair in ((1e9, " G"), (1e6, " M"), (1e3, " k")) if value >= pair[0]), (1, ""))
    return f"{value / size:g}{unit}"
