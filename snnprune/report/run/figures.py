"""Standard set of pictures of a training run, in one folder."""

import hashlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...connectivity import Connectivity
from ...layout import to_rows
from ...options import checked
from ...storage import make_folder
from ...synapses import Geometry
from ..style import layer_label
from .layers import plot_layers
from .maps import plot_connectivity
from .training import plot_training


@checked
def plot_run(
    folder: str | os.PathLike[str],
    *,
    metrics: Sequence[Mapping[str, Any]],
    connectivity: Connectivity,
    image_shape: tuple[int, int, int] | None = None,
    geometries: Mapping[str, Geometry] | None = None,
) -> list[Path]:
    """Draw the standard set: `training.png`, `layers.png`, and `connectivity-<layer>.png` for each layer.

    Args:
        folder: of the files; made if it is missing.
        metrics: as in `plot_training`.
        connectivity: at the end of the run.
        image_shape: (channels, height, width) of the network's input; the first layer with as many inputs gets a
            picture of them.
        geometries: from `synapses.geometry(network)`; needed for transposed convolutions, whose axes are the other way
            round, and for bilinear layers, whose inputs are pairs.

    Returns:
        paths of the files, all PNG, in the order above.

    Raises:
        InputError: as `plot_training`, or the folder cannot be made.
    """
    folder = make_folder(folder)
    paths = [folder / "training.png", folder / "layers.png"]
    plot_training(metrics, path=paths[0])
    plot_layers(connectivity, path=paths[1])
    maps = plot_maps(folder, connectivity, list(connectivity), image_shape=image_shape, geometries=geometries)
    return [*paths, *maps.values()]


def plot_maps(
    folder: Path,
    connectivity: Connectivity,
    layers: Sequence[str],
    *,
    image_shape: tuple[int, int, int] | None,
    geometries: Mapping[str, Geometry] | None,
) -> dict[str, Path]:
    """Draw `connectivity-<layer>.png` for some layers; other arguments as in `plot_run`.

    Returns:
        layer -> file.
    """
    images = image_layer(connectivity, image_shape)
    paths = {}
    for name in layers:
        mask, label = connectivity[name], layer_label(name)
        if geometries is not None:
            mask = to_rows(mask, geometries[name]).unflatten(1, (-1, *geometries[name].kernel))
        paths[name] = map_path(folder, name)
        plot_connectivity(mask, name=label, image_shape=image_shape if name == images else None, path=paths[name])
    return paths


def map_path(folder: Path, layer: str) -> Path:
    """Return the file of a layer's map."""
    return folder / f"connectivity-{_file_part(layer_label(layer))}.png"


@checked
def image_layer(connectivity: Connectivity, image_shape: tuple[int, int, int] | None) -> str | None:
    """Return the first layer with one input for each pixel; a later one of that size is no image."""
    inputs = {name: mask.shape[1] for name, mask in connectivity.items() if mask.ndim == 2}
    fitting = [name for name, count in inputs.items() if image_shape and count == math.prod(image_shape)]
    return fitting[0] if fitting else None


def _file_part(name: str) -> str:
    """Return a part of a file name that is valid on every file system, different for different names."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:80]
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
