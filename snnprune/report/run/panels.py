"""Panels beside a connectivity map: fans, colour scale, input pixels, kernel positions."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter
from torch import Tensor

from ..binning import bin_line
from ..style import BLUE, DENSITY, INK, MEDIUM, SMALL, count_on, dress

_PERCENT = FuncFormatter(lambda value, _: f"{100 * value:g}%")
_BESIDE = (1.04, 0, 0.04, 1)  # left, bottom, width, height of a colour bar, in those of its panel


def draw_fan_out(axes: Axes, fans: np.ndarray, width: int) -> None:
    """Draw the synapses of each presynaptic unit, above the map; means over `width` units."""
    means, edges = bin_line(fans, width), _edges(len(fans), width)
    axes.stairs(means, edges, fill=True, color=BLUE)
    axes.set_ylim(0, 1.08 * max(means.max(), 1))
    count_on(axes.yaxis, ticks=3)
    dress(axes, y="fan-out", grid="y")
    axes.tick_params(labelbottom=False)


def draw_fan_in(axes: Axes, fans: np.ndarray, height: int) -> None:
    """Draw the synapses of each postsynaptic unit, to the right of the map; means over `height` units."""
    means, edges = bin_line(fans, height), _edges(len(fans), height)
    axes.stairs(means, edges, fill=True, color=BLUE, orientation="horizontal")
    axes.set_xlim(0, 1.08 * max(means.max(), 1))
    count_on(axes.xaxis, ticks=3)
    dress(axes, x="fan-in", grid="x")
    axes.tick_params(labelleft=False)


def draw_scale(figure: Figure, picture: AxesImage, axes: Axes, label: str, *, percent: bool) -> None:
    """Draw the colour scale of the map; its ends are pointed where values lie beyond them."""
    (low, high), values = picture.get_clim(), np.ma.asarray(picture.get_array())
    beyond = (bool(values.min() < low), bool(values.max() > high))
    extend = {(False, True): "max", (True, False): "min", (True, True): "both"}.get(beyond, "neither")
    bar = figure.colorbar(picture, cax=axes, extend=extend, format=_PERCENT if percent else None)
    _finish(bar, label)


def draw_pixels(figure: Figure, axes: Axes, fans: np.ndarray) -> None:
    """Draw the fan-out of each input pixel as an image, from shape (channels, height, width)."""
    image = fans.sum(axis=0)
    picture = axes.imshow(image, cmap=DENSITY, vmin=0, vmax=max(image.max(), 1), interpolation="nearest")
    note = f", {len(fans)} channels summed" if len(fans) > 1 else ""
    dress(axes, title=f"Fan-out of each input pixel{note}")
    axes.spines[:].set_visible(True)
    bar = figure.colorbar(picture, cax=axes.inset_axes(_BESIDE))
    count_on(bar.ax.yaxis, ticks=6)
    _finish(bar, "synapses from the pixel")


def draw_kernel(figure: Figure, axes: Axes, mask: Tensor) -> None:
    """Draw the density of each kernel position; the planes of a three-dimensional kernel lie below each other."""
    positions = mask.flatten(0, 1).float().mean(0)
    image = positions.reshape(-1, positions.shape[-1]).numpy()
    picture = axes.imshow(image, cmap=DENSITY, vmin=0, vmax=image.max() or 1, interpolation="nearest")
    if image.size <= 25:
        for (row, column), value in np.ndenumerate(image):
            shade = "white" if value > 0.62 * image.max() else INK
            axes.text(column, row, f"{value:.1%}", ha="center", va="center", fontsize=SMALL, color=shade)
    else:
        _finish(figure.colorbar(picture, cax=axes.inset_axes(_BESIDE), format=_PERCENT), "density")
    count_on(axes.xaxis, ticks=6)
    count_on(axes.yaxis, ticks=6)
    dress(axes, title="Density of each kernel position")
    axes.spines[:].set_visible(True)


def _finish(bar: Colorbar, label: str) -> None:
    bar.set_label(label, fontsize=MEDIUM, color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, labelcolor=INK)


def _edges(units: int, size: int) -> np.ndarray:
    return np.append(np.arange(0, units, size), units) - 0.5
