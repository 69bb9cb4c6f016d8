"""Density of each layer with each method: a table in colours."""

import os
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from ...errors import InputError
from ...options import checked
from ..style import (
    DENSITY,
    INK,
    LINE,
    MEDIUM,
    PERCENT,
    SMALL,
    check_suffix,
    dress,
    finish,
    layer_label,
    new_figure,
    plain,
)
from .curves import in_order
from .sides import SIDES

Densities = Mapping[str, Mapping[str, float]]  # method -> layer -> density


@checked
def plot_kept(
    densities: Mapping[str, Densities], *, title: str = "", path: str | os.PathLike[str] | None = None
) -> Figure:
    """Draw the density of each layer: a panel for each side, methods as rows, layers as columns.

    Colours have a log scale that all panels share; an empty layer is white, one that a method does not have is grey.

    Args:
        densities: side, "snn" or "ann" -> method -> layer's name -> its density in [0, 1], such as the mean over seeds.
        title: of the picture; by default "What each method keeps".
        path: the file to replace; its suffix decides the format, .png, .svg or .pdf. None: nothing is written.

    Returns:
        the figure.

    Raises:
        InputError: no sides, another side, a side without methods or layers, or a density outside [0, 1]; an
            unknown suffix, or the file cannot be written.
    """
    check_suffix(path)
    sides = in_order(densities)
    tables = [_table(side, densities[side]) for side in sides]
    values = 100 * np.concatenate([table.ravel() for table in tables])
    positive = values[values > 0] if (values > 0).any() else np.array([100.0])
    norm = LogNorm(positive.min() / 1.3, positive.max())  # so that the smallest is not white yet
    rows, columns = max(len(table) for table in tables), [table.shape[1] for table in tables]
    width = 1.2 + sum(1.6 + 0.72 * count for count in columns)
    note = "share of each layer's synapses that is kept; rows: methods, columns: layers"
    heading = title or "What each method keeps"
    figure = new_figure(max(width, 6.8), max(1.3 + 0.29 * rows, 3.2), title=heading, subtitle=note)
    panels = figure.subplots(1, len(sides), squeeze=False, width_ratios=columns)[0]
    for axes, side, table in zip(panels, sides, tables, strict=True):
        _draw_table(axes, densities[side], 100 * table, norm)
        dress(axes, title=SIDES[side].title)
        axes.spines[:].set(visible=True, color=LINE)
        axes.tick_params(length=0)
    _draw_scale(figure, panels)
    return finish(figure, path)


def _layers(methods: Densities) -> list[str]:
    return list(dict.fromkeys(layer for layers in methods.values() for layer in layers))


def _table(side: str, methods: Densities) -> np.ndarray:
    """Return densities (methods, layers), nan where a method has no such layer."""
    layers = _layers(methods)
    if not layers:
        raise InputError(f"there are no layers of {side} to plot: give at least one method with one layer")
    for method, found in methods.items():
        if wrong := [f"{name} is {density}" for name, density in found.items() if not 0 <= density <= 1]:
            raise InputError(f"densities must be shares in [0, 1], but for {method} ({side}) that of {wrong[0]}")
    return np.array([[found.get(layer, np.nan) for layer in layers] for found in methods.values()], dtype=float)


def _draw_table(axes: Axes, methods: Densities, table: np.ndarray, norm: LogNorm) -> None:
    """Draw one panel, from a table in percent."""
    # a log scale has no 0: a value far below its start is drawn as "under"
    shown = np.ma.masked_invalid(np.where(table == 0, 1e-9, table))
    colors = DENSITY.with_extremes(under="white", bad=LINE)
    axes.imshow(shown, cmap=colors, norm=norm, aspect="auto", interpolation="nearest")
    for (row, column), value in np.ndenumerate(table):
        if not np.isnan(value):
            shade = "white" if value > 0 and norm(value) > 0.55 else INK
            axes.text(column, row, f"{value:.3g}%", ha="center", va="center", fontsize=SMALL, color=shade)
    rows, columns = table.shape
    names = [plain(layer_label(name)) for name in _layers(methods)]
    turned = max(map(len, names)) > 8
    axes.set_xticks(range(columns), names, rotation=40 if turned else 0, ha="right" if turned else "center")
    axes.set_yticks(range(rows), [plain(name) for name in methods])
    axes.hlines(np.arange(rows - 1) + 0.5, -0.5, columns - 0.5, color="white", linewidth=1.5)


def _draw_scale(figure: Figure, panels: np.ndarray) -> None:
    bar = figure.colorbar(panels[0].images[0], ax=list(panels), format=PERCENT, pad=0.02, aspect=30)
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.set_label("density of the layer (log scale)", labelpad=9, fontsize=MEDIUM, color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, labelcolor=INK)
