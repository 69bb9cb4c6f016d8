"""The film of a training: how one layer's synapses come and go. A GIF that loops, and a strip of it for print."""

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from ..style import DENSITY, FAINT, GREY, INK, LINE, dress, layer_label, new_figure, save_figure
from .footage import Footage
from .gif import make_palette, write_gif
from .scenes import COLORS, choose_neurons, pixels, tiles, whole_map
from .screen import Screen
from .turnover import LINES

_MOVING, _RESTING, _LAST = 200, 80, 3000  # milliseconds
_STRIP = 7  # frames
_COLUMNS = 3  # of tiles in the strip


def plot_film(path: str | os.PathLike[str], film: Footage) -> None:
    """Draw the film of the layer whose connectivity was kept.

    Where its inputs are pixels: the fan-out of each, and the receptive fields of some neurons; else the whole
    connectivity. Below that the number of synapses that came, went and stayed. Frames in which nothing changes are
    shown for a shorter time, the last for a long one.

    Args:
        path: the GIF file to replace.
        film: a recorded training.

    Raises:
        InputError: the file cannot be written.
    """
    screen = Screen(film)
    durations = [_MOVING if moved else _RESTING for moved in _moves(film)]
    durations[0] = 3 * _MOVING
    durations[-1] = _LAST
    write_gif(path, (screen.show(frame) for frame in range(len(film))), durations, palette())


def plot_strip(path: str | os.PathLike[str], film: Footage) -> None:
    """Draw some frames of the film beside each other, for print.

    Args:
        path: the PNG file to replace.
        film: a recorded training.

    Raises:
        InputError: the file cannot be written.
    """
    frames = _chosen(film)
    words = "since the frame before: grey stayed, orange came, blue went, pale orange came and went again"
    heading = f"{layer_label(film.layer)}: {film.title}"
    rows = 2 if film.image else 1
    figure = new_figure(2.2 * len(frames), 0.7 + 2.25 * rows, title=heading, subtitle=words)
    panels = figure.subplots(rows, len(frames), squeeze=False)
    for column, frame in zip(panels.T, frames, strict=True):
        dress(column[0], title=f"epoch {film.epochs[frame]:.1f}\ndensity {film.density(frame):.2%}")
        _show(column, film, int(frame))
    save_figure(path, figure)


def palette() -> np.ndarray:
    """All the colours of a film."""
    inks = [INK, FAINT, LINE, GREY, *COLORS.values(), *LINES.values()]
    return make_palette(inks, DENSITY(np.linspace(0, 1, 60))[:, :3])


def _show(column: Sequence[Axes], film: Footage, frame: int) -> None:
    """One frame of the strip, in one panel or two below each other."""
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
    """Whether synapses came or went since the frame before, bool [F]."""
    return (film.pruned + film.regrown + film.tried)[:, film.index] > 0


def _chosen(film: Footage) -> np.ndarray:
    """The last frame, and others that are spread evenly over the time in which synapses come and go."""
    end = int(np.flatnonzero(_moves(film)).max(initial=0))
    return np.unique(np.append(np.linspace(0, end, _STRIP - 1).round().astype(int), len(film) - 1))
