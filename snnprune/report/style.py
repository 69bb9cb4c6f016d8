"""Shared look of all pictures: colours, text sizes, and files that are equal for equal input."""

import os
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..errors import InputError
from ..storage import write_atomically

# Okabe and Ito's colours (2008), distinguishable for colour-blind readers.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#B4B8BD"
INK, FAINT, LINE = "#22262A", "#5C6369", "#E4E7EA"
LARGE, MEDIUM, SMALL = 16, 12, 10.5
# White is no synapse. Lightness falls monotonically, so that the scale also works in grey.
DENSITY = LinearSegmentedColormap.from_list("density", ["#FFFFFF", "#BFE0E8", "#4DA6C7", "#16639B", "#0B2A55"])
SIGNED = LinearSegmentedColormap.from_list("signed", ["#08306B", "#3B8BC2", "#F4F4F2", "#E08214", "#7F3B08"])

PERCENT = FuncFormatter(lambda value, _: f"{value:g}%")  # of values that are percentages already
# Without dates and the versions of software: equal figures give equal bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


class _RoundedLayout(ConstrainedLayoutEngine):
    """Layout with rounded positions: the solver's last digits vary, and SVG files contain hashes of all digits."""

    def execute(self, fig: Figure) -> Any:
        grids = super().execute(fig)
        for axes in fig.axes:
            left, bottom, width, height = (round(value, 6) for value in axes.get_position(original=True).bounds)
            axes.set_position((left, bottom, width, height))
            axes.set_in_layout(True)  # or it would keep this position in the next layout
        return grids


def new_figure(width: float, height: float, *, title: str, subtitle: str) -> Figure:
    """Return an empty figure with room below its title for panels; made without pyplot, which keeps global state.

    Args:
        width: inches.
        height: inches, of the panels; the title is added on top.
        title: of the picture.
        subtitle: its numbers, in one line or more.
    """
    header = 0.62 + 0.23 * len(subtitle.splitlines())
    height += header
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    figure.set_layout_engine(_RoundedLayout(rect=(0.01, 0.01, 0.98, 1 - header / height - 0.01), w_pad=0.07))
    left = 0.15 / width
    size = min(LARGE, 100 * width / len(title))  # a long layer name still fits
    figure.text(left, 1 - 0.17 / height, plain(title), va="top", fontsize=size, fontweight="bold", color=INK)
    figure.text(left, 1 - 0.5 / height, plain(subtitle), va="top", fontsize=MEDIUM, color=FAINT)
    return figure


def check_suffix(path: str | os.PathLike[str] | None) -> str:
    """Return the format that a picture's suffix names; "png" where there is no path.

    Raises:
        InputError: another suffix than .png, .svg or .pdf.
    """
    suffix = ".png" if path is None else Path(path).suffix
    if suffix.lower().removeprefix(".") not in _METADATA:
        known = ", ".join(f".{name}" for name in _METADATA)
        raise InputError(f"{path} has the suffix {suffix!r}, which is no format of a picture: choose one of {known}")
    return suffix.lower().removeprefix(".")


def save_figure(path: str | os.PathLike[str], figure: Figure) -> None:
    """Write a figure atomically as PNG, SVG or PDF, by the suffix of `path`; equal figures give equal bytes.

    Raises:
        InputError: an unknown suffix, or the file cannot be written there.
    """
    kind = check_suffix(path)
    look = {"format": kind, "dpi": 150, "facecolor": "white", "metadata": _METADATA[kind]}
    with matplotlib.rc_context({"svg.hashsalt": "snnprune"}):  # else the ids in an SVG file are random
        write_atomically(path, lambda part: figure.savefig(part, **look))


def finish(figure: Figure, path: str | os.PathLike[str] | None) -> Figure:
    """Return a figure, after writing it where a path is given.

    Raises:
        InputError: as `save_figure`.
    """
    if path is not None:
        save_figure(path, figure)
    return figure


def dress(axes: Axes, *, x: str = "", y: str = "", title: str = "", grid: Literal["x", "y"] | None = None) -> None:
    """Set labels, quiet lines and text sizes of one panel."""
    axes.set_xlabel(x, fontsize=MEDIUM, color=INK)
    axes.set_ylabel(y, fontsize=MEDIUM, color=INK)
    axes.set_title(title, fontsize=MEDIUM, color=INK, loc="left")
    axes.tick_params(labelsize=SMALL, color=FAINT, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(FAINT)
    if grid:
        axes.grid(axis=grid, color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)


def count_on(axis: Axis, *, ticks: int) -> None:
    """Put about `ticks` whole numbers on an axis, with commas between thousands."""
    axis.set_major_locator(MaxNLocator(ticks, integer=True, min_n_ticks=1, steps=(1, 2, 2.5, 5, 10)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def layer_label(name: str) -> str:
    """Return the layer's name of a parameter: "fc1" for "fc1.weight"."""
    return name.removesuffix(".weight")


def plain(text: str) -> str:
    """Return text that matplotlib shows unchanged: it reads what is between two dollars as a formula."""
    return text.replace("$", r"\$")
