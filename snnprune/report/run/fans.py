"""How many inputs and targets the neurons of each layer have."""

import os
from collections.abc import Mapping

import numpy as np

from ...connectivity import Connectivity
from ...layout import to_columns, to_rows
from ...synapses import Geometry
from ..style import BLUE, FAINT, SMALL, count_on, dress, layer_label, new_figure, plain, save_figure

_BINS = 40


def plot_fans(path: str | os.PathLike[str], connectivity: Connectivity, geometries: Mapping[str, Geometry]) -> None:
    """Draw for each layer how its neurons' fan-in, and its inputs' fan-out, are distributed; the means are marked.

    For convolutions, neurons and inputs are channels, and shared weights count once.

    Args:
        path: the PNG file to replace.
        connectivity: which synapses exist.
        geometries: of its layers.

    Raises:
        InputError: the file cannot be written there.
    """
    names = list(connectivity)
    note = "left: synapses into each neuron; right: synapses out of each input; dashed: the mean"
    figure = new_figure(9.5, 1.9 * len(names) + 0.3, title="Fan-in and fan-out", subtitle=note)
    panels = figure.subplots(len(names), 2, squeeze=False)
    for row, name in zip(panels, names, strict=True):
        mask = connectivity[name].cpu()
        for axes, lines, words in zip(row, (to_rows, to_columns), ("fan-in", "fan-out"), strict=True):
            counts = lines(mask, geometries[name]).sum(1).numpy()
            bins = np.linspace(-0.5, counts.max() + 0.5, min(_BINS, int(counts.max()) + 1) + 1)
            axes.hist(counts, bins=bins, color=BLUE)
            axes.axvline(counts.mean(), color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)))
            dress(axes, title=f"{plain(layer_label(name))}: {words}, at most {counts.max():,}")
            axes.title.set_fontsize(SMALL)
            count_on(axes.xaxis, ticks=6)
            count_on(axes.yaxis, ticks=3)
    save_figure(path, figure)
