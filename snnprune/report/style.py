"""What all pictures share: colours, text sizes, and files that are equal for equal input."""

import os
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..storage import write_atomically

# Okabe and Ito's colours (2008), which colour-blind readers tell apart.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#B4B8BD"
INK, FAINT, LINE = "#22262A", "#5C6369", "#E4E7EA"
LARGE, MEDIUM, SMALL = 16, 12, 10.5
# White is no synapse. Lightness falls all the way, so that the scale reads in grey too.
DENSITY = LinearSegmentedColormap.from_list("density", ["#FFFFFF", "#BFE0E8", "#4DA6C7", "#16639B", "#0B2A55"])
SIGNED = LinearSegmentedColormap.from_list("signed", ["#08306B", "#3B8BC2", "#F4F4F2", "#E08214", "#7F3B08"])

PERCENT = FuncFormatter(lambda value, _: f"{value:g}%")  # of values that are percentages already


def new_figure(width: float, height: float, *, title: str, subtitle: str) -> Figure:
    """An empty figure without pyplot and its global state, with room below its title for panels.

    Args:
        width: inches.
        height: inches, of the panels; the title comes on top.
        title: what is shown.
        subtitle: its numbers, in one line or more.
    """
    header = 0.62 + 0.23 * len(subtitle.splitlines())
    height += header
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", rect=(0.01, 0.01, 0.98, 1 - header / height - 0.01), w_pad=0.07)
    left = 0.15 / width
    size = min(LARGE, 100 * width / len(title))  # a long layer name still fits
    figure.text(left, 1 - 0.17 / height, plain(title), va="top", fontsize=size, fontweight="bold", color=INK)
    figure.text(left, 1 - 0.5 / height, subtitle, va="top", fontsize=MEDIUM, color=FAINT)
    return figure


def save_figure(path: str | os.PathLike[str], figure: Figure) -> None:
    """Write a figure as PNG, atomically; equal figures give equal bytes.

    Raises:
        InputError: the file cannot be written there.
    """
    # The software's name is left out, because it holds matplotlib's version.
    metadata = {"Software": None}
    write_atomically(
        path, lambda part: figure.savefig(part, format="png", dpi=150, facecolor="white", metadata=metadata)
    )


def dress(axes: Axes, *, x: str = "", y: str = "", title: str = "", grid: Literal["x", "y"] | None = None) -> None:
    """Labels, quiet lines and text sizes of one panel."""
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
    """Whole numbers along an axis, about as many as `ticks`, with commas between thousands."""
    axis.set_major_locator(MaxNLocator(ticks, integer=True, min_n_ticks=1, steps=(1, 2, 2.5, 5, 10)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def layer_label(name: str) -> str:
    """A parameter's name as readers know the layer: "fc1" for "fc1.weight"."""
    return name.removesuffix(".weight")


def plain(text: str) -> str:
    """Text that matplotlib shows as it is: between two dollars it would read a formula."""
    return text.replace("$", r"\$")
