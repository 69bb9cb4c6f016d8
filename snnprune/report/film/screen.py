"""Screen of a film: one figure for all frames, every part at fixed pixels, so that nothing jumps."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from ..style import FAINT, INK, LARGE, MEDIUM, SMALL, dress, layer_label, plain
from .footage import CAME, STAYED, TRIED, WENT, Footage
from .scenes import COLORS, WORDS, choose_neurons, pixels, tiles, whole_map
from .turnover import draw_turnover

# All in pixels from the upper left.
_DPI, _WIDTH, _HEIGHT = 100, 1010, 690
_LEFT, _GAP, _TOP, _TALL = 28, 32, 114, 344
_CAPTION = 344  # of the first panel; its numbers have five digits at most
_COLUMNS, _ROWS = 5, 3  # of tiles
_LEGEND = {STAYED: 0, CAME: 190, WENT: 370, TRIED: 550}  # pixels from the left to each colour's explanation


class Screen:
    """Shows the frames of a film, one at a time.

    Args:
        film: a recorded training.
    """

    def __init__(self, film: Footage) -> None:
        self.film = film
        self.figure = Figure(figsize=(_WIDTH / _DPI, _HEIGHT / _DPI), dpi=_DPI, facecolor="white")
        self.canvas = FigureCanvasAgg(self.figure)
        self.neurons = choose_neurons(film, _COLUMNS * _ROWS)
        self._write(_LEFT, 16, plain(f"{layer_label(film.layer)}: {film.title}"), LARGE, fontweight="bold")
        self.progress = self._write(_LEFT, 51, "", MEDIUM, color=FAINT)
        self.caption = self._write(_LEFT, _TOP - 24, "", SMALL)
        self.pictures = self._pictures()
        self.numbers = {kind: self._legend(kind, left) for kind, left in _LEGEND.items()}
        self.future = self._timeline()

    def show(self, frame: int) -> np.ndarray:
        """Return the picture of a frame, RGB, uint8 [height, width, 3]."""
        film = self.film
        self.progress.set_text(progress(film, frame))
        self.caption.set_text(self._caption(frame))
        for axes, scene in zip(self.pictures, self._scenes(frame), strict=True):
            axes.images[0].set_data(scene)
        counts = {STAYED: film.survived, CAME: film.regrown, WENT: film.pruned, TRIED: film.tried}
        for kind, text in self.numbers.items():
            text.set_text(f"{WORDS[kind]}  {counts[kind][frame, film.index]:,}")
        self.future.set_x(film.epochs[frame])
        self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()

    def _scenes(self, frame: int) -> list[np.ndarray]:
        if self.film.image:
            return [pixels(self.film, frame)[0], tiles(self.film, frame, self.neurons, _COLUMNS)]
        return [whole_map(self.film, frame, limit=(_TALL, _WIDTH - 2 * _LEFT))]

    def _caption(self, frame: int) -> str:
        if not self.film.image:
            rows, columns = self.film.shape
            return f"{rows:,} outputs from top to bottom, {columns:,} inputs from left to right"
        return f"Synapses of each pixel: white 0, dark {pixels(self.film, frame)[1]:,}"

    def _tiles_caption(self) -> str:
        neurons = self.film.shape[0]
        lost = neurons - int(self.film.mask(len(self.film) - 1).any(axis=1).sum())
        end = f" ({lost:,} of {neurons:,} end with none)" if lost else f" of {neurons:,}"
        return f"Receptive fields of {len(self.neurons)} neurons{end}"

    def _pictures(self) -> list[Axes]:
        """Make the panels, side by side; a factor below 4 is a whole number, or pixels would differ in size visibly."""
        panels, left = [], _LEFT
        for scene in self._scenes(0):
            (height, width), room = scene.shape[:2], _WIDTH - left - _LEFT
            scale = min(_TALL / height, room / width)
            scale = math.floor(scale) if 1 <= scale < 4 else scale
            size = (width * scale, height * scale) if self.film.image else (room, _TALL)
            if panels:
                self._write(left, _TOP - 24, self._tiles_caption(), SMALL)
            axes = self._axes_at(left, _TOP, *size)
            axes.imshow(scene, interpolation="nearest", aspect="auto")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(color=FAINT, linewidth=0.8)
            panels.append(axes)
            left += math.ceil(max(size[0], _CAPTION)) + _GAP
        return panels

    def _legend(self, kind: int, left: int) -> Text:
        """Draw a coloured square below the panels, and return the text beside it."""
        left, top = _LEFT + 52 + left, _TOP + _TALL + 22
        corner = (left / _WIDTH, 1 - (top + 15) / _HEIGHT)
        self.figure.add_artist(Rectangle(corner, 13 / _WIDTH, 13 / _HEIGHT, facecolor=COLORS[kind]))
        return self._write(left + 20, top, "", SMALL)

    def _timeline(self) -> Rectangle:
        """Draw the whole course below the panels, and return the cover of its future."""
        film, top = self.film, _TOP + _TALL + 54
        axes = self._axes_at(_LEFT + 52, top, _WIDTH - 2 * _LEFT - 52, _HEIGHT - top - 52)
        draw_turnover(axes, film, film.index)
        dress(axes, x="epoch", grid="y")
        cover = Rectangle((0, 0), 2 * film.epochs[-1], 1.2, transform=axes.get_xaxis_transform(), zorder=5)
        cover.set(facecolor="white", alpha=0.85, linewidth=0)
        axes.add_patch(cover)
        return cover

    def _axes_at(self, left: float, top: float, width: float, height: float) -> Axes:
        low = _HEIGHT - top - height
        return self.figure.add_axes((left / _WIDTH, low / _HEIGHT, width / _WIDTH, height / _HEIGHT))

    def _write(self, left: float, top: float, text: str, size: float, **look: Any) -> Text:
        look = {"color": INK, **look}
        return self.figure.text(left / _WIDTH, 1 - top / _HEIGHT, text, va="top", fontsize=size, **look)


def progress(film: Footage, frame: int) -> str:
    """Return epoch, density and accuracy at a frame, in one line."""
    words = [f"epoch {film.epochs[frame]:.1f} of {film.epochs[-1]:.0f}", f"density {film.density(frame):.2%}"]
    if frame == len(film) - 1 and not math.isnan(film.final_accuracy):
        words.append(f"{film.evaluated_on} accuracy {film.final_accuracy:.2%}")
    elif not math.isnan(film.accuracy[frame]):
        words.append(f"training accuracy {film.accuracy[frame]:.1%}")
    return ", ".join(words)
