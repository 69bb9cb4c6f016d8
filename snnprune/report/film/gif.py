"""Animated GIFs: one palette for all frames, so that nothing flickers and equal input gives equal bytes."""

import io
import os
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from ...storage import write_atomically

_SHADES = 16  # from white to each colour; 12 colours and a ramp of 60 fit into 255


def make_palette(colors: Iterable[str], ramp: np.ndarray) -> np.ndarray:
    """Return a palette: colours with their shades towards white, for smooth edges of text, and a ramp.

    Args:
        colors: at most 12.
        ramp: further colours, RGB [n, 3] in 0..1.

    Returns:
        uint8 [n, 3], n at most 255.
    """
    weights = np.linspace(0, 1, _SHADES)[:, None]
    shades = [weights * np.array(to_rgb(color)) + 1 - weights for color in colors]
    palette = np.unique(np.rint(255 * np.concatenate([*shades, ramp])).astype(np.uint8), axis=0)
    assert len(palette) < 256
    return palette


def write_gif(
    path: str | os.PathLike[str], frames: Iterable[np.ndarray], durations: Sequence[int], palette: np.ndarray
) -> None:
    """Write a GIF that loops, atomically.

    Args:
        path: the file to replace.
        frames: RGB, uint8 [height, width, 3], all of one size.
        durations: of each frame, in milliseconds.
        palette: of `make_palette`, uint8 [n, 3]; every pixel gets the nearest of its colours.

    Raises:
        InputError: the file cannot be written there.
    """
    first, *others = [_paletted(frame, palette) for frame in frames]
    content = io.BytesIO()
    # Unchanged pixels become transparent: the transparent colour must not be one of the palette.
    look = {"loop": 0, "optimize": True, "transparency": len(palette)}
    first.save(content, "GIF", save_all=True, append_images=others, duration=list(durations), **look)
    write_atomically(path, lambda temporary: temporary.write_bytes(content.getvalue()))


def _paletted(frame: np.ndarray, palette: np.ndarray) -> Image.Image:
    """Convert a frame to the nearest colours of a palette; Pillow's own search is approximate: it makes white grey."""
    numbers = frame.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    found, index = np.unique(numbers, return_inverse=True)
    colors = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(int)
    nearest = np.array([((palette - color) ** 2).sum(axis=1).argmin() for color in colors], dtype=np.uint8)
    image = Image.fromarray(nearest[index].reshape(frame.shape[:2]))
    image.putpalette(palette.tobytes())
    return image
