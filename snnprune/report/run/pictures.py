"""Pictures of a report: fans, and a map of each layer."""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from ...connectivity import Connectivity
from ...synapses import Geometry
from ..style import layer_label
from .fans import plot_fans
from .figures import map_path, plot_maps


def report_pictures(
    connectivity: Connectivity,
    geometries: Mapping[str, Geometry],
    *,
    image_shape: tuple[int, int, int] | None = None,
    figures: str | os.PathLike[str] | None = None,
) -> dict[str, bytes]:
    """Title -> PNG: fan-in and fan-out, and the connectivity of each layer.

    Args:
        connectivity: which synapses exist.
        geometries: of its layers.
        image_shape: as in `plot_run`.
        figures: a folder of `plot_run`; a map that is there is not drawn anew.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        plot_fans(connectivity, geometries, path=folder / "fans.png")
        pictures = {"Fan-in and fan-out": (folder / "fans.png").read_bytes()}
        drawn = None if figures is None else Path(figures)
        paths = {layer: drawn and map_path(drawn, layer) for layer in connectivity}
        missing = [layer for layer, path in paths.items() if path is None or not path.is_file()]
        found = plot_maps(folder, connectivity, missing, image_shape=image_shape, geometries=geometries)
        for layer, path in paths.items():
            source = found.get(layer, path)
            assert source is not None, "a map is there or was drawn"
            pictures[f"Connectivity of {layer_label(layer)}"] = source.read_bytes()
    return pictures
