"""Numbers of synapses that came, went and stayed during a training, layer by layer."""

import os

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from ...options import checked
from ..style import INK, SMALL, check_suffix, count_on, dress, finish, layer_label, new_figure, plain
from .footage import CAME, STAYED, TRIED, WENT, Footage
from .scenes import COLORS, WORDS

# A line on white or grey needs more colour than a filled tile.
LINES = {CAME: COLORS[CAME], WENT: "#56B4E9", TRIED: "#F0A35E"}


@checked
def plot_turnover(film: Footage, *, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw for each layer the numbers of synapses that were pruned, regrown and kept in each frame (log scale).

    Args:
        film: a recorded training.
        path: the file to replace; its suffix decides the format, .png, .svg or .pdf. None: nothing is written.

    Returns:
        the figure.

    Raises:
        InputError: an unknown suffix, or the file cannot be written.
    """
    check_suffix(path)
    columns = 1 if len(film.layers) < 4 else 2
    rows = -(-len(film.layers) // columns)
    note = f"{film.title}\nlog scale; since the previous frame, {len(film)} frames in all"
    figure = new_figure(9.5 * columns, 1 + 2.6 * rows, title="Synapses that came, went and stayed", subtitle=note)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for index, (axes, name) in enumerate(zip(panels, film.layers, strict=False)):
        draw_turnover(axes, film, index)
        dress(axes, y="synapses", title=f"{plain(layer_label(name))}, of {film.prunable[index]:,}", grid="y")
    for axes in panels[len(film.layers) :]:
        axes.set_axis_off()
    for axes in panels[-columns:]:
        axes.set_xlabel("epoch")
    corner = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.98)}
    panels[columns - 1].legend(frameon=False, fontsize=SMALL, labelcolor=INK, ncols=4, **corner)
    return finish(figure, path)


def draw_turnover(axes: Axes, film: Footage, index: int) -> None:
    """Draw one layer: synapses that stayed as an area, those that came and went as lines."""
    epochs, floor = film.epochs, 0.8
    axes.fill_between(epochs, film.survived[:, index], floor, color=COLORS[STAYED], alpha=0.3, lw=0, label="stayed")
    for kind, values, width in ((CAME, film.regrown, 1.6), (WENT, film.pruned, 3.2), (TRIED, film.tried, 1.6)):
        # "went" is wide and lies below: where as many come as go, both are seen; a log scale has no 0
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
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    count_on(axes.xaxis, ticks=10)


def short(value: float) -> str:
    """Abbreviate a number: 10 k, 1 M."""
    size, unit = next((pair for pair in ((1e9, " G"), (1e6, " M"), (1e3, " k")) if value >= pair[0]), (1, ""))
    return f"{value / size:g}{unit}"
