"""Film of a training: the synapses of one layer as they come and go. A looping GIF, and a strip of it for print."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...errors import InputError
from ...options import checked
from ..style import DENSITY, FAINT, GREY, INK, LINE, check_suffix, dress, finish, layer_label, new_figure
from .footage import Footage
from .gif import make_palette, write_gif
from .scenes import COLORS, choose_neurons, pixels, tiles, whole_map
from .screen import Screen
from .turnover import LINES

_MOVING, _RESTING, _LAST = 200, 80, 3000  # milliseconds of a frame
_STRIP = 7  # frames
_COLUMNS = 3  # of tiles in the strip


@checked
def plot_film(film: Footage, *, path: str | os.PathLike[str]) -> None:
    """Draw the film of the recorded layer, as a GIF.

    Where its inputs are pixels: the fan-out of each, and the receptive fields of some neurons; else the whole
    connectivity. Below that the number of synapses that came, went and stayed. Frames in which nothing changes are
    shown for a shorter time, the last for a long one.

    Args:
        film: a recorded training.
        path: the file to replace; its suffix must be .gif.

    Raises:
        InputError: another suffix, or the file cannot be written.
    """
    if Path(path).suffix.lower() != ".gif":
        raise InputError(f"{path} has the suffix {Path(path).suffix!r}: a film is a .gif, choose that")
    screen = Screen(film)
    durations = [_MOVING if moved else _RESTING for moved in _moves(film)]
    durations[0] = 3 * _MOVING
    durations[-1] = _LAST
    write_gif(path, (screen.show(frame) for frame in range(len(film))), durations, palette())


@checked
def plot_strip(film: Footage, *, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw some frames of the film side by side, for print.

    Args:
        film: a recorded training.
        path: the file to replace; its suffix decides the format, .png, .svg or .pdf. None: nothing is written.

    Returns:
        the figure.

    Raises:
        InputError: an unknown suffix, or the file cannot be written.
    """
    check_suffix(path)
    frames = _chosen(film)
    words = "since the previous frame: grey stayed, orange came, blue went, pale orange came and went again"
    heading = f"{layer_label(film.layer)}: {film.title}"
    rows = 2 if film.image else 1
    figure = new_figure(2.2 * len(frames), 0.7 + 2.25 * rows, title=heading, subtitle=words)
    panels = figure.subplots(rows, len(frames), squeeze=False)
    for column, frame in zip(panels.T, frames, strict=True):
        dress(column[0], title=f"epoch {film.epochs[frame]:.1f}\ndensity {film.density(frame):.2%}")
        _show(column, film, int(frame))
    return finish(figure, path)


def palette() -> np.ndarray:
    """Return all colours of a film, uint8 [n, 3]."""
    inks = [INK, FAINT, LINE, GREY, *COLORS.values(), *LINES.values()]
    return make_palette(inks, DENSITY(np.linspace(0, 1, 60))[:, :3])


def _show(column: Sequence[Axes], film: Footage, frame: int) -> None:
    """Draw one frame of the strip, in one panel or in two below each other."""
    if film.image:
        scene, darkest = pixels(film, frame)
        column[0].set_xlabel(f"dark: {darkest:,} synapses")
        scenes = [scene, tiles(film, frame, choose_neurons(film, _COLUMNS**2), _COLUMNS)]
    else:
        scenes = [whole_map(film, frame, limit=(300, 300))]
    for axes, scene in zip(column, scenes, strict=True):
        axes.imshow(scene, interpolation="nearest", aspect="equal" if film.image else "auto")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color=FAINT, linewidth=0.8)


def _moves(film: Footage) -> np.ndarray:
    """Whether synapses came or went since the previous frame, bool [F]."""
    return (film.pruned + film.regrown + film.tried)[:, film.index] > 0


def _chosen(film: Footage) -> np.ndarray:
    """Choose the last frame, and others spread evenly over the time in which synapses come and go."""
    end = int(np.flatnonzero(_moves(film)).max(initial=0))
    return np.unique(np.append(np.linspace(0, end, _STRIP - 1).round().astype(int), len(film) - 1))
