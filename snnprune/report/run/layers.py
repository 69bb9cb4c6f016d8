"""What each layer keeps of its synapses, side by side with its share of the network."""

import os
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ...connectivity import Connectivity
from ..style import BLUE, GREY, INK, ORANGE, PERCENT, SMALL, dress, layer_label, new_figure, plain, save_figure


def plot_layers(path: str | os.PathLike[str], connectivity: Connectivity) -> None:
    """Draw what each layer keeps: its density, and its share of all remaining and of all prunable synapses.

    Args:
        path: the PNG file to replace.
        connectivity: of any network; layers appear in its order, the first on top.

    Raises:
        InputError: the file cannot be written.
    """
    layers = connectivity.layers()
    total = f"{connectivity.nonzero:,} of {connectivity.prunable:,} synapses, density {connectivity.density:.3%}"
    figure = new_figure(13, 1.6 + 0.55 * len(layers), title="What each layer keeps", subtitle=total)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.2, 1))
    places = np.arange(len(layers))
    _draw_densities(left, places, list(layers.values()), connectivity.density)
    _draw_shares(right, places, list(layers.values()), connectivity)
    left.set_yticks(places, [plain(layer_label(name)) for name in layers])
    left.set_ylim(len(layers) - 0.4, -0.6)
    save_figure(path, figure)


def _draw_densities(axes: Axes, places: np.ndarray, layers: list[dict[str, Any]], overall: float) -> None:
    density = [100 * layer["density"] for layer in layers]
    largest = max(*density, 100 * overall) or 1.0
    axes.barh(places, density, height=0.6, color=BLUE)
    axes.axvline(100 * overall, color=ORANGE, linewidth=1.4, linestyle=(0, (4, 2)), label="whole network")
    _label(axes, places, density, [f"{layer['nonzero']:,} of {layer['prunable']:,}" for layer in layers])
    axes.set_xlim(0, 1.5 * largest)
    axes.set_xticks([tick for tick in MaxNLocator(5).tick_values(0, largest) if tick <= 1.001 * largest])
    _finish(axes, "density of each layer")


def _draw_shares(axes: Axes, places: np.ndarray, layers: list[dict[str, Any]], connectivity: Connectivity) -> None:
    remaining = [100 * layer["nonzero"] / max(connectivity.nonzero, 1) for layer in layers]
    prunable = [100 * layer["prunable"] / connectivity.prunable for layer in layers]
    for shares, offset, color, text in ((remaining, -0.18, BLUE, "remaining"), (prunable, 0.18, GREY, "prunable")):
        axes.barh(places + offset, shares, height=0.32, color=color, label=f"of all {text} synapses")
        _label(axes, places + offset, shares, [f"{share:.1f}%" for share in shares])
    axes.set_xlim(0, 1.15 * max(*remaining, *prunable))
    _finish(axes, "share of each layer")


def _label(axes: Axes, places: np.ndarray, ends: list[float], texts: list[str]) -> None:
    """Text behind each bar, on white so that no line runs through it."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    for place, end, text in zip(places, ends, texts, strict=True):
        axes.annotate(
            text, (end, place), (5, 0), textcoords="offset points", va="center", fontsize=SMALL, color=INK, bbox=box
        )


def _finish(axes: Axes, x: str) -> None:
    axes.xaxis.set_major_formatter(PERCENT)
    axes.legend(frameon=False, fontsize=SMALL, labelcolor=INK, ncols=2, loc="lower left", bbox_to_anchor=(-0.02, 1))
    axes.tick_params(axis="y", length=0)
    dress(axes, x=x, grid="x")
