"""Pictures of a layer in one frame of a film, as arrays of colours: tiles, maps, pixels."""

import numpy as np
from matplotlib.colors import to_rgb

from ..binning import bin_matrix, robust_maximum
from ..style import DENSITY, GREY, ORANGE
from .footage import ABSENT, CAME, STAYED, TRIED, WENT, Footage

# Synapses that stay or come stand out; those that go, and those only tried, are paler.
COLORS = {STAYED: "#5C6369", CAME: ORANGE, WENT: "#7CC4EE", TRIED: "#F8D9B8"}
WORDS = {STAYED: "stayed", CAME: "came", WENT: "went", TRIED: "came and went again"}
_PAINTS = np.array([to_rgb(COLORS.get(kind, "white")) for kind in range(ABSENT, TRIED + 1)])
_ZOOM = 24  # an image smaller than this is magnified, so that the line between tiles is thin


def choose_neurons(film: Footage, count: int) -> np.ndarray:
    """Return postsynaptic units of the recorded layer, spread evenly over their ranking by synapses at the end.

    Those without a synapse at the end are left out where there are enough others.
    """
    fans = film.mask(len(film) - 1).sum(axis=1)
    order = np.argsort(-fans, kind="stable")
    last = max(int((fans > 0).sum()), min(count, len(fans))) - 1
    return order[np.linspace(0, last, min(count, len(fans))).round().astype(int)]


def tiles(film: Footage, frame: int, neurons: np.ndarray, columns: int) -> np.ndarray:
    """Return receptive fields of some neurons on a grid with thin lines, RGB [height, width, 3].

    Where the image has several channels, a pixel has the mean of their colours.
    """
    zoom = max(1, _ZOOM // max(film.image[1:]))
    height, width = (zoom * size for size in film.image[1:])
    painted = _PAINTS[film.changes(frame)[neurons]].reshape(len(neurons), *film.image, 3).mean(axis=1)
    painted = painted.repeat(zoom, axis=1).repeat(zoom, axis=2)
    rows = -(-len(neurons) // columns)
    canvas = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, 3), to_rgb(GREY))
    for number in range(rows * columns):
        top, left = number // columns * (height + 1), number % columns * (width + 1)
        canvas[top : top + height, left : left + width] = painted[number] if number < len(neurons) else 1
    return canvas


def pixels(film: Footage, frame: int) -> tuple[np.ndarray, int]:
    """Return the fan-out of each pixel as colours, RGB [height, width, 3], and the largest one."""
    counts = film.mask(frame).sum(axis=0).reshape(film.image).sum(axis=0)
    darkest = int(counts.max())
    return DENSITY(counts / max(darkest, 1))[..., :3], darkest


def whole_map(film: Footage, frame: int, *, limit: tuple[int, int]) -> np.ndarray:
    """Return the whole connectivity, RGB; one larger than `limit` (rows, columns) has the mean colours of its blocks.

    Means of sparse blocks are pale: they are scaled up until the fullest blocks have their full colour.
    """
    changes = film.changes(frame)
    bins = {kind: bin_matrix(changes == kind, limit=limit) for kind in COLORS}
    shares = {kind: (found.sums / found.cells)[..., None] for kind, found in bins.items()}
    ink = sum(share * (1 - _PAINTS[kind]) for kind, share in shares.items())
    return np.clip(1 - ink / robust_maximum(np.asarray(sum(shares.values()))), 0, 1)
