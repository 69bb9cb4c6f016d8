"""Fan-in and fan-out of each layer."""

import os
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ...connectivity import Connectivity
from ...errors import InputError
from ...layout import to_columns, to_rows
from ...options import checked
from ...synapses import Geometry
from ..style import BLUE, FAINT, SMALL, check_suffix, count_on, dress, finish, layer_label, new_figure, plain

_BINS = 40
_AXES = {"fan-in": ("synapses into a neuron", "neurons"), "fan-out": ("synapses out of an input", "inputs")}


@checked
def plot_fans(
    connectivity: Connectivity, geometries: Mapping[str, Geometry], *, path: str | os.PathLike[str] | None = None
) -> Figure:
    """Draw the distributions of each layer's fan-in (of its neurons) and fan-out (of its inputs), with their means.

    For convolutions, neurons and inputs are channels, and shared weights count once.

    Args:
        connectivity: which synapses exist.
        geometries: of its layers.
        path: the file to replace; its suffix decides the format, .png, .svg or .pdf. None: nothing is written.

    Returns:
        the figure.

    Raises:
        InputError: a layer without geometry, an unknown suffix, or the file cannot be written.
    """
    check_suffix(path)
    names = list(connectivity)
    if missing := [name for name in names if name not in geometries]:
        raise InputError(f"the geometry of {', '.join(missing)} is not known: pass snnprune.geometry(network)")
    note = "left: synapses into each neuron; right: synapses out of each input; dashed: the mean"
    figure = new_figure(9.5, 2.3 * len(names) + 0.3, title="Fan-in and fan-out", subtitle=note)
    panels = figure.subplots(len(names), 2, squeeze=False)
    for row, name in zip(panels, names, strict=True):
        mask = connectivity[name].cpu()
        for axes, lines, words in zip(row, (to_rows, to_columns), ("fan-in", "fan-out"), strict=True):
            counts = lines(mask, geometries[name]).sum(1).numpy()
            bins = np.linspace(-0.5, counts.max() + 0.5, min(_BINS, int(counts.max()) + 1) + 1)
            axes.hist(counts, bins=bins, color=BLUE)
            axes.axvline(counts.mean(), color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)))
            x, y = _AXES[words]
            dress(axes, x=x, y=y, title=f"{plain(layer_label(name))}: {words}, at most {counts.max():,}")
            for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
                text.set_fontsize(SMALL)
            count_on(axes.xaxis, ticks=6)
            count_on(axes.yaxis, ticks=3)
    return finish(figure, path)
