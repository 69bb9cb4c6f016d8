"""Comparison of methods: accuracy over density, a panel for the spiking and one for the non-spiking network."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import CARETDOWN
from matplotlib.ticker import MaxNLocator, NullLocator

from ...options import checked
from ..style import FAINT, INK, LINE, SMALL, check_suffix, dress, finish, new_figure, plain
from .curves import Curve, Panel, choose_methods, levels, read_sides
from .lines import Label, line_styles, name_lines
from .scale import ROW, Scale, cut_bars, make_scale
from .sides import CONTROL_ENDINGS, SIDES

_DENSE: dict[str, Any] = {"color": INK, "linestyle": "solid"}

Styles = Mapping[str, dict[str, Any]]
Shifts = Mapping[str, float]


@checked
def plot_comparison(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str = "",
    methods: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw accuracy over density: a panel for each side, a line for each method through its means over the seeds.

    Bars are standard deviations over the seeds; a triangle marks a bar that continues below the axis. Methods that end
    in -shuffled, -scratch-e, -scratch-b or -transfer are controls: grey and dashed. A horizontal line is the dense
    network. Accuracies far below all others are written under the axis instead of stretching it.

    Args:
        rows: one a network, with `method`; `side`, "snn" or "ann"; `density` in (0, 1], where 1 is the dense network,
            whatever its method is called; `seed`; and `accuracy` in [0, 1]. Other keys are ignored. Densities less than
            5 % apart are one point.
        title: of the picture; by default "Accuracy of sparse networks".
        methods: names of the methods to draw, in the order of their colours; by default all. The dense network is
            drawn in any case.
        path: the file to replace; its suffix decides the format, .png, .svg or .pdf. None: nothing is written.

    Returns:
        the figure.

    Raises:
        InputError: no rows, none of a sparse network, a row without one of these keys or with another side, a
            density or accuracy out of its range, or an unknown method; an unknown suffix, or the file cannot be
            written.
    """
    check_suffix(path)
    rows = rows if methods is None else choose_methods(rows, methods)
    sides = read_sides(rows)
    drawn = list(dict.fromkeys(curve.method for side in sides for curve in side.curves))
    height = max(6.2, ROW * (len(drawn) + 5))
    heading = title or "Accuracy of sparse networks"
    scale, styles, shifts = make_scale(sides, height), line_styles(drawn), _shifts(sides, drawn)
    note = _subtitle(rows, sides, scale)
    figure = new_figure(1.0 + 7.0 * len(sides), height + 0.7, title=heading, subtitle=note)
    panels = figure.subplots(1, len(sides), sharex=True, sharey=True, squeeze=False)[0]
    _frame(panels[0], sides, scale)
    for axes, side in zip(panels, sides, strict=True):
        _draw_dense(axes, side)
        for curve in side.curves:
            _draw_curve(axes, curve, scale, styles[curve.method], shifts[curve.method])
        dress(axes, x="density (log scale, sparser to the right)", title=SIDES[side.name].title, grid="y")
        _shade(axes, scale)
        _name(axes, side, scale, styles, shifts)
    panels[0].set_ylabel("accuracy")
    return finish(figure, path)


def _subtitle(rows: Sequence[Mapping[str, Any]], sides: list[Panel], scale: Scale) -> str:
    seeds = len({row["seed"] for row in rows})
    first = f"points: means of {seeds} seeds, bars: standard deviations" if seeds > 1 else "one seed"
    if any(cut_bars(curve, scale).any() for side in sides for curve in side.curves):
        first += " (a triangle: it continues below the axis)"
    controls = "; grey and dashed: controls" if any(row["method"].endswith(CONTROL_ENDINGS) for row in rows) else ""
    return f"{first}\nbeside each name: accuracy at the smallest density{controls}"


def _shifts(sides: list[Panel], methods: list[str]) -> Shifts:
    """Return a factor on the density of each method, so that the bars of one density are side by side."""
    starts = levels(float(density) for side in sides for curve in side.curves for density in curve.density)
    gaps = np.diff(np.log(starts))
    step = 0.006 * (gaps.sum() + 0.45)  # of the axis' length: an error bar and a gap
    width = min(step * len(methods), 0.3 * gaps.min(initial=1.0))
    return dict(zip(methods, np.exp(width * np.linspace(0.5, -0.5, len(methods))), strict=True))


def _draw_dense(axes: Axes, side: Panel) -> None:
    if side.dense:
        mean, spread = side.dense
        axes.axhspan(mean - spread, mean + spread, color=INK, alpha=0.12, linewidth=0)
        axes.axhline(mean, linewidth=1.2, **_DENSE)


def _draw_curve(axes: Axes, curve: Curve, scale: Scale, style: dict[str, Any], shift: float) -> None:
    x, y = curve.density * shift, scale.positions(curve.method, curve.accuracy)
    low, cut = curve.accuracy < scale.floor, cut_bars(curve, scale)
    down = np.minimum(curve.spread, np.abs(curve.accuracy - scale.floor))
    bars = np.where(low, 0, [down, curve.spread])
    axes.errorbar(x, y, bars, elinewidth=1, linewidth=1.6, markersize=5.5, **style)
    edge = {"linestyle": "none", "marker": CARETDOWN, "markersize": 8, "color": style["color"], "zorder": 4}
    axes.plot(x[cut], np.full(cut.sum(), scale.floor), clip_on=False, in_layout=False, **edge)
    box = {"facecolor": LINE, "edgecolor": "none", "pad": 1.0}
    for density, row, accuracy in zip(x[low], y[low], curve.accuracy[low], strict=True):
        text = f"\N{DOWNWARDS ARROW}{accuracy:.1f}%"
        offset = {"xytext": (-7, 0), "textcoords": "offset points", "ha": "right", "va": "center"}
        axes.annotate(text, (density, row), fontsize=SMALL, color=INK, bbox=box, **offset)


def _name(axes: Axes, side: Panel, scale: Scale, styles: Styles, shifts: Shifts) -> None:
    """Write the name of each curve beside its end, the sparsest point, with the accuracy there."""
    sparsest = min((float(curve.density[-1]) for curve in side.curves), default=0.0)
    labels = []
    for curve in side.curves:
        density, text = float(curve.density[-1]), f"{curve.method}  {curve.accuracy[-1]:.1f}%"
        if len(levels([sparsest, density])) > 1:
            text += f" at {density:.2g}%"
        y = float(scale.positions(curve.method, curve.accuracy)[-1])
        labels.append(Label(text, density * shifts[curve.method], y, styles[curve.method]))
    if side.dense:
        labels.append(Label(f"dense  {side.dense[0]:.1f}%", axes.get_xlim()[1], side.dense[0], _DENSE))
    name_lines(axes, labels, scale)


def _frame(axes: Axes, sides: list[Panel], scale: Scale) -> None:
    """Set the axes that all panels share: a tick at each level of density, none inside the rows below the floor."""
    starts = levels(float(density) for side in sides for curve in side.curves for density in curve.density)
    axes.set_xscale("log")
    axes.set_xlim(starts[-1] * 1.25, starts[0] / 1.25)
    axes.set_xticks(starts, [f"{density:.2g}%" for density in starts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(scale.bottom, scale.top)
    ticks = MaxNLocator(8, steps=(1, 2, 5, 10)).tick_values(scale.floor, scale.top)
    ticks = [tick for tick in ticks if scale.floor <= tick <= min(scale.top, 100)]
    rows = {scale.row_of(name): plain(name) for name in scale.below}
    axes.set_yticks([*ticks, *rows], [f"{tick:g}%" for tick in ticks] + list(rows.values()))


def _shade(axes: Axes, scale: Scale) -> None:
    """Shade the rows below the floor, where the axis stops."""
    if scale.below:
        axes.axhspan(scale.bottom, scale.floor, color=LINE, linewidth=0, zorder=0)
        across, text = axes.get_yaxis_transform(), f"below {scale.floor:.3g}%:"
        axes.text(0.012, scale.floor - 0.2 * scale.row, text, transform=across, va="top", fontsize=SMALL, color=FAINT)
