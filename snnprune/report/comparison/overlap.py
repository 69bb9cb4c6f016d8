"""Similarity of the connectivities that methods and seeds find."""

import os
from collections.abc import Mapping
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ...connectivity import Connectivity
from ...options import checked
from ..style import DENSITY, FAINT, GREY, INK, MEDIUM, SIGNED, SMALL, check_suffix, dress, finish, new_figure, plain
from .curves import in_order
from .sides import SIDES
from .similarity import similarity

_NOISE = 0.1  # share of the largest similarity; smaller ones below chance are drawn as chance
_SIGNED = FuncFormatter(lambda value, _: f"{value:+.2g}" if value else "0")


@checked
def plot_similarity(
    connectivities: Mapping[str, Mapping[str, Connectivity]],
    *,
    title: str = "",
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw the similarity beyond chance of each pair of connectivities: a panel for each side.

    White is chance. Colours have two directions only where similarities below chance are more than noise.

    Args:
        connectivities: side, "snn" or "ann" -> label -> connectivity. A label is a method and a seed, such as "gmp 0";
            labels of one method that follow each other make a block.
        title: of the picture; by default "How alike the remaining synapses are".
        path: the file to replace; its suffix decides the format, .png, .svg or .pdf. None: nothing is written.

    Returns:
        the figure.

    Raises:
        InputError: no sides, another side, a side without connectivities, or different shapes on one side;
            an unknown suffix, or the file cannot be written.
    """
    check_suffix(path)
    sides = in_order(connectivities)
    matrices = [similarity(connectivities[side]) for side in sides]
    scale = _scale(np.concatenate([matrix[~np.eye(len(matrix), dtype=bool)] for matrix in matrices]))
    methods = [method for side in sides for method, _ in _blocks(connectivities[side])]
    # inches: of a matrix, and of the names to its left and below it; cells are then about square
    size, names = max(4.4, 0.25 * len(methods) / len(sides)), 0.3 + 0.085 * max(map(len, methods))
    note = "each row and column is one network, a method and a seed\ngrey: each network with itself"
    heading = title or "How alike the remaining synapses are"
    figure = new_figure(1.5 + (size + names) * len(sides), size + names + 0.4, title=heading, subtitle=note)
    panels = figure.subplots(1, len(sides), squeeze=False)[0]
    for axes, side, matrix in zip(panels, sides, matrices, strict=True):
        _draw_matrix(axes, matrix, scale)
        dress(axes, title=SIDES[side].title)
        _draw_blocks(axes, _blocks(connectivities[side]), len(matrix))
    _draw_scale(figure, panels)
    return finish(figure, path)


def _blocks(labels: Mapping[str, Connectivity]) -> list[tuple[str, int]]:
    """Return methods with their numbers of seeds, in order: a label without its last word is the method."""
    methods = groupby(label.rpartition(" ")[0] or label for label in labels)
    return [(method, len(list(seeds))) for method, seeds in methods]


def _scale(pairs: np.ndarray) -> tuple[float, float]:
    """Return the limits of the colours: (0, top), or (-top, top) where values below 0 are more than noise."""
    top = float(np.abs(pairs).max(initial=0)) or 1.0
    return (-top if pairs.min(initial=0) < -_NOISE * top else 0.0), top


def _draw_matrix(axes: Axes, matrix: np.ndarray, scale: tuple[float, float]) -> None:
    # the diagonal, each network with itself, would only take colours from the rest
    shown = np.ma.masked_where(np.eye(len(matrix), dtype=bool), matrix)
    colors = (SIGNED if scale[0] < 0 else DENSITY).with_extremes(bad=GREY)
    axes.imshow(shown, cmap=colors, vmin=scale[0], vmax=scale[1], aspect="auto", interpolation="nearest")


def _draw_blocks(axes: Axes, blocks: list[tuple[str, int]], total: int) -> None:
    ends = np.cumsum([count for _, count in blocks])
    middles = ends - np.array([count for _, count in blocks]) / 2 - 0.5
    names = [plain(method) for method, _ in blocks]
    axes.set_xticks(middles, names, rotation=90)
    axes.set_yticks(middles, names)
    axes.tick_params(length=0)
    lines = {"color": FAINT, "linewidth": 0.5}
    axes.hlines(ends[:-1] - 0.5, -0.5, total - 0.5, **lines)
    axes.vlines(ends[:-1] - 0.5, -0.5, total - 0.5, **lines)
    axes.spines[:].set_visible(True)


def _draw_scale(figure: Figure, panels: np.ndarray) -> None:
    bar = figure.colorbar(panels[0].images[0], ax=list(panels), format=_SIGNED, pad=0.02, aspect=30)
    words = "synapses in common beyond chance (Jaccard index)\n0: as random masks with the same layer densities"
    bar.set_label(words, labelpad=9, fontsize=MEDIUM, color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, labelcolor=INK)
