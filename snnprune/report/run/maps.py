"""Connectivity map of one layer: which postsynaptic unit is connected to which presynaptic one."""

import math
import os

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from ...errors import InputError
from ...options import checked
from ..binning import Bins, bin_matrix, robust_maximum
from ..style import DENSITY, SIGNED, check_suffix, count_on, dress, finish, new_figure
from .panels import draw_fan_in, draw_fan_out, draw_kernel, draw_pixels, draw_scale

_BINS = 350  # along an axis: two pixels or more for each, or a sparse map is lost between them


@checked
def plot_connectivity(
    mask: Tensor,
    *,
    name: str,
    image_shape: tuple[int, int, int] | None = None,
    weights: Tensor | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw which synapses of one layer exist, with the fan-in of each output and the fan-out of each input beside it.

    A matrix with more than 350 rows or columns is binned; colours show the density of each bin, up to that of the
    fullest bins. For a convolution each pair of channels shows the share of its kernel that is kept, and a second
    picture the density of each kernel position.

    Args:
        mask: boolean, true where a synapse exists, shape (postsynaptic, presynaptic) or, for a convolution,
            (postsynaptic, presynaptic, *kernel). Bring a transposed convolution into this order first.
        name: of the layer, for the title.
        image_shape: (channels, height, width) of the network's input. Where that is the number of presynaptic units,
            the fan-out of each pixel is shown as an image, summed over channels.
        weights: of the shape of `mask`. With them the map shows the mean weight of the existing synapses.
        path: the file to replace; its suffix decides the format, .png, .svg or .pdf. None: nothing is written.

    Returns:
        the figure.

    Raises:
        InputError: a mask that is not boolean, has no elements or fewer than two axes; weights of another shape;
            an unknown suffix, or the file cannot be written.
    """
    check_suffix(path)
    _check(mask, name, weights)
    mask, counts = mask.cpu(), _per_pair(mask)
    bins, taps = bin_matrix(counts, limit=_BINS), math.prod(mask.shape[2:])
    is_image = image_shape is not None and mask.ndim == 2 and math.prod(image_shape) == mask.shape[1]
    side = 5.0 if is_image else 3.4 if taps > 1 else 0.0
    title = f"Connectivity of {name}" if weights is None else f"Connectivity and weights of {name}"
    figure = new_figure(8.4 + side, 6.4, title=title, subtitle=_summary(mask, counts))
    widths = [6, 1.1, 0.22] + ([0.3, side] if side else [])
    grid = figure.add_gridspec(2, len(widths), width_ratios=widths, height_ratios=[1, 6])
    axes = figure.add_subplot(grid[1, 0])
    picture, label = _draw_density(axes, bins, taps) if weights is None else _draw_weights(axes, bins, mask, weights)
    _frame(axes, picture, counts.shape, bins, "channel" if mask.ndim > 2 else "unit")
    draw_fan_out(figure.add_subplot(grid[0, 0], sharex=axes), counts.sum(axis=0), bins.width)
    draw_fan_in(figure.add_subplot(grid[1, 1], sharey=axes), counts.sum(axis=1), bins.height)
    if label:
        draw_scale(figure, picture, figure.add_subplot(grid[1, 2]), label, percent=weights is None)
    if is_image:
        draw_pixels(figure, figure.add_subplot(grid[1, 4]), counts.sum(axis=0).reshape(image_shape))
    elif side:
        draw_kernel(figure, figure.add_subplot(grid[1, 4]), mask)
    return finish(figure, path)


def _check(mask: Tensor, name: str, weights: Tensor | None) -> None:
    if mask.dtype != torch.bool or mask.ndim < 2 or mask.numel() == 0:
        raise InputError(
            f"the mask of {name} must be torch.bool with two axes or more and no empty one, "
            f"found {mask.dtype} of shape {tuple(mask.shape)}"
        )
    if weights is not None and weights.shape != mask.shape:
        raise InputError(
            f"the weights of {name} must have the shape of its mask, {tuple(mask.shape)}, found {tuple(weights.shape)}"
        )


def _per_pair(values: Tensor) -> np.ndarray:
    """Return the sum over the kernel of each pair, (postsynaptic, presynaptic)."""
    values = values.cpu()
    return (values if values.ndim == 2 else values.flatten(2).sum(2)).numpy()


def _summary(mask: Tensor, counts: np.ndarray) -> str:
    kept, shape = int(counts.sum()), " x ".join(map(str, mask.shape))
    outputs, inputs = int((~counts.any(axis=1)).sum()), int((~counts.any(axis=0)).sum())
    return (
        f"{kept:,} of {mask.numel():,} synapses ({shape}), density {kept / mask.numel():.3%}\n"
        f"without a synapse: {outputs:,} of {len(counts):,} outputs, {inputs:,} of {counts.shape[1]:,} inputs"
    )


def _draw_density(axes: Axes, bins: Bins, taps: int) -> tuple[AxesImage, str]:
    """Draw densities; return the picture and a label of its colours, "" where a cell is one synapse or none."""
    density = bins.sums / (bins.cells * taps)
    if bins.height * bins.width > 1:
        label = f"density in bin ({bins.height} x {bins.width} {'pairs' if taps > 1 else 'synapses'})"
    else:
        label = "share of the kernel kept" if taps > 1 else ""
    top = robust_maximum(density) if label else 1.0
    return axes.imshow(density, cmap=DENSITY, vmin=0, vmax=top, aspect="auto", interpolation="nearest"), label


def _draw_weights(axes: Axes, bins: Bins, mask: Tensor, weights: Tensor) -> tuple[AxesImage, str]:
    existing = weights.detach().cpu().float().masked_fill(~mask, 0)
    means = bin_matrix(_per_pair(existing), limit=_BINS).sums / np.maximum(bins.sums, 1)
    top = robust_maximum(np.abs(means))
    shown = np.ma.masked_where(bins.sums == 0, means)
    picture = axes.imshow(shown, cmap=SIGNED, vmin=-top, vmax=top, aspect="auto", interpolation="nearest")
    return picture, "mean weight of the existing synapses"


def _frame(axes: Axes, picture: AxesImage, shape: tuple[int, ...], bins: Bins, unit: str) -> None:
    """Number the axes in units, not in bins, with the first unit at the upper left."""
    (rows, columns), (drawn_rows, drawn_columns) = shape, bins.sums.shape
    picture.set_extent((-0.5, drawn_columns * bins.width - 0.5, drawn_rows * bins.height - 0.5, -0.5))
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    dress(axes, x=f"presynaptic {unit}", y=f"postsynaptic {unit}")
    axes.spines[:].set_visible(True)
    for axis in (axes.xaxis, axes.yaxis):
        count_on(axis, ticks=6)
