"""Pictures of a report: fans, and a map of each layer."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ...connectivity import Connectivity
from ...errors import InputError
from ...options import checked
from ...storage import read_bytes
from ...synapses import Geometry
from ..style import layer_label
from .fans import plot_fans
from .figures import map_path, plot_maps

_LIMIT = 32_000_000  # bytes of a picture


@checked
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
    files = {} if figures is None else {layer: map_path(Path(figures), layer) for layer in connectivity}
    maps = {layer: content for layer, path in files.items() if (content := _png(path))}
    with _temporary_folder() as folder:
        plot_fans(connectivity, geometries, path=folder / "fans.png")
        missing = [layer for layer in connectivity if layer not in maps]
        drawn = plot_maps(folder, connectivity, missing, image_shape=image_shape, geometries=geometries)
        maps |= {layer: path.read_bytes() for layer, path in drawn.items()}
        fans = (folder / "fans.png").read_bytes()
    return {
        "Fan-in and fan-out": fans,
        **{f"Connectivity of {layer_label(layer)}": maps[layer] for layer in connectivity},
    }


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = TemporaryDirectory()
    except OSError as error:
        raise InputError(f"cannot draw: no temporary folder can be made ({error.strerror or error})") from error
    with folder as name:
        yield Path(name)


def _png(path: Path) -> bytes | None:
    """Content of a PNG file; None if it is missing, or no PNG."""
    try:
        content = read_bytes(path, limit=_LIMIT)
    except InputError:  # it is drawn anew
        return None
    return content if content.startswith(b"\x89PNG\r\n") else None
