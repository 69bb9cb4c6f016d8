"""The course of a training run: density and accuracy over the epochs."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from ...errors import InputError
from ...options import checked
from ..style import (
    BLUE,
    GREY,
    INK,
    MEDIUM,
    ORANGE,
    PERCENT,
    SMALL,
    check_suffix,
    count_on,
    dress,
    finish,
    new_figure,
)

_NEEDED = ("epoch", "density", "train_accuracy")


@checked
def plot_training(metrics: Sequence[Mapping[str, Any]], *, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw density (log scale) and accuracy over the epochs of a training run.

    Args:
        metrics: one row an epoch with `epoch`, `density` and `train_accuracy`, and `evaluation_accuracy` where the
            network was evaluated on held-out data; densities and accuracies in [0, 1]. Other keys are ignored.
        path: the file to replace; its suffix decides the format, .png, .svg or .pdf. None: nothing is written.

    Returns:
        the figure.

    Raises:
        InputError: no rows, a row without one of these keys, an unknown suffix, or the file cannot be written.
    """
    check_suffix(path)
    if not metrics:
        raise InputError("there are no metrics to plot: give one row for each epoch")
    if missing := [f"row {i} has no {key}" for i, row in enumerate(metrics) for key in _NEEDED if key not in row]:
        raise InputError(f"these metrics cannot be plotted: {missing[0]}; each row needs {', '.join(_NEEDED)}")
    epochs = np.array([row["epoch"] for row in metrics], dtype=float)
    figure = new_figure(9, 6.2, title="Density and accuracy during training", subtitle=_last(metrics[-1]))
    upper, lower = figure.subplots(2, 1, sharex=True)
    _draw_density(upper, epochs, _percent(metrics, "density"))
    _draw_accuracy(lower, epochs, _percent(metrics, "train_accuracy"), _percent(metrics, "evaluation_accuracy"))
    margin = max(0.5, 0.02 * (epochs.max() - epochs.min()))
    lower.set_xlim(epochs.min() - margin, epochs.max() + margin)
    count_on(lower.xaxis, ticks=10)
    return finish(figure, path)


def _draw_density(axes: Axes, epochs: np.ndarray, density: np.ndarray) -> None:
    shown = np.where(density > 0, density, np.nan)  # a log scale has no 0
    axes.plot(epochs, shown, color=BLUE, **_line(len(epochs)))
    low = float(np.nanmin(shown)) if np.isfinite(shown).any() else 1.0
    axes.set_yscale("log")
    axes.set_ylim(low / 1.7, 150)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if low > 0.5 else (1,)))
    axes.yaxis.set_major_formatter(PERCENT)
    axes.yaxis.set_minor_locator(NullLocator())
    if density[-1] > 0:
        end = (epochs[-1], density[-1])
        axes.annotate(f"{density[-1]:.3g}%", end, (8, -4), textcoords="offset points", fontsize=MEDIUM, color=BLUE)
    dress(axes, y="density", grid="y")


def _draw_accuracy(axes: Axes, epochs: np.ndarray, train: np.ndarray, evaluation: np.ndarray) -> None:
    axes.plot(epochs, train, color=GREY, label="training data", **_line(len(epochs)))
    known = np.isfinite(evaluation)
    if known.any():
        axes.plot(epochs[known], evaluation[known], color=ORANGE, label="held-out data", **_line(int(known.sum())))
    axes.yaxis.set_major_formatter(PERCENT)
    axes.legend(frameon=False, fontsize=SMALL, labelcolor=INK)
    dress(axes, x="epoch", y="accuracy", grid="y")


def _percent(metrics: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    """One column, in percent; nan where a row has none."""
    return np.array([100 * float("nan" if row.get(key) is None else row[key]) for row in metrics])


def _line(points: int) -> dict[str, Any]:
    return {"linewidth": 2.2, "marker": "o" if points <= 40 else None, "markersize": 4.5}


def _last(row: Mapping[str, Any]) -> str:
    parts = [f"density {row['density']:.3%}", f"training accuracy {row['train_accuracy']:.2%}"]
    if row.get("evaluation_accuracy") is not None:
        parts.append(f"held-out accuracy {row['evaluation_accuracy']:.2%}")
    return f"after epoch {row['epoch']}: {', '.join(parts)}"
