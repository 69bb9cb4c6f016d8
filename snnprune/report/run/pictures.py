"""The pictures of a report."""

from pathlib import Path
from tempfile import TemporaryDirectory

from ...runs.finished_run import FinishedRun
from ...synapses import geometry
from .fans import plot_fans
from .figures import plot_run


def pictures_of(run: FinishedRun) -> dict[str, bytes]:
    """What each shows -> PNG: fan-in and fan-out, and the connectivity of each layer."""
    shapes = geometry(run.network)
    with TemporaryDirectory() as name:
        folder = Path(name)
        plot_fans(folder / "fans.png", run.connectivity, shapes)
        drawn = plot_run(
            folder, metrics=run.rows, connectivity=run.connectivity, image_shape=run.data.image_shape, geometries=shapes
        )
        pictures = {"Fan-in and fan-out": (folder / "fans.png").read_bytes()}
        for path in drawn:
            if path.name.startswith("connectivity"):
                layer = path.stem.removeprefix("connectivity-")
                pictures[f"Connectivity of {layer}"] = path.read_bytes()
    return pictures
