"""The end of a run: evaluation, connectivity, exports, pictures, and last of all the summary."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ..connectivity import Connectivity
from ..errors import InputError
from ..export import save_csr
from ..graph.sizes import with_uses
from ..paths import effective_connectivity, units_without_synapse
from ..report import plot_run
from ..synapses import geometry_named
from ..training import RunFolder, Trainer
from .chips import placement_of
from .parts import example_of

logger = logging.getLogger(__name__)

# Entries of `config.json` that the summary repeats.
_REPEATED = ("method", "model", "data", "neuron", "epochs", "seed")


_SHARE, _COUNT = (0.0, 1.0), (0, 2**62)
# Entry of a summary -> the range of its number, or its type.
_ENTRIES: dict[str, Any] = {
    "accuracy": _SHARE,
    "evaluated_on": str,
    "density": _SHARE,
    "nonzero": _COUNT,
    "prunable": _COUNT,
    "connections": _COUNT,
    "possible_connections": _COUNT,
    "effective_density": _SHARE,
    "dead_neurons": dict,
    "layers": dict,
    "seconds": (0.0, math.inf),
    "method": str,
    "model": str,
    "data": str,
    "neuron": str,
    "epochs": _COUNT,
    "seed": _COUNT,
    "steps": _COUNT,
    "chip": dict,
}
_REQUIRED = ("accuracy", "evaluated_on", "density", "nonzero", "prunable")
_CHIP = {"name": str, "verdict": str, "reasons": list}


def read_summary(folder: RunFolder) -> dict[str, Any]:
    """Read the summary of a finished run.

    Raises:
        MissingFile: the run is not finished.
        InputError: the summary is damaged; the message names the entry.
    """
    content, path = folder.read_json("summary.json"), folder.path / "summary.json"
    for name, kind in _ENTRIES.items():
        value = content.get(name)
        if not (_fits(value, kind) or (value is None and name not in _REQUIRED)):
            raise InputError(f"{path} is damaged: {name} is {value!r}; use another copy")
    content.setdefault("seconds", None)
    chip = content.get("chip")
    if chip is not None and not all(isinstance(chip.get(name), kind) for name, kind in _CHIP.items()):
        raise InputError(f"{path} is damaged: chip is {chip!r}; use another copy")
    for some, of in (("nonzero", "prunable"), ("connections", "possible_connections")):
        if (content.get(some) or 0) > (content.get(of) or 0):
            raise InputError(f"{path} is damaged: {some} is {content[some]}, more than {of}; use another copy")
    return content


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, type):
        return isinstance(value, kind)
    low, high = kind
    return (type(value) is int or (type(value) is float and isinstance(low, float))) and low <= value <= high


def finish(
    description: Mapping[str, Any], trainer: Trainer, folder: RunFolder, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Evaluate once, write everything that a finished run has, and return its summary.

    Args:
        description: content of `config.json`.
        trainer: after its last step; its method is finalized.
        folder: open.
        rows: of all epochs.
    """
    connectivity = trainer.method.finalize().to("cpu")
    network = trainer.network
    times = [row["seconds"] for row in rows if row["seconds"] is not None]
    example = example_of(trainer.data, network)
    accuracy = trainer.evaluate()
    connectivity.save(folder.path / "connectivity.safetensors")
    save_csr(folder.path / "connectivity.npz", network, connectivity)
    plot_run(
        folder.path / "figures",
        metrics=rows,
        connectivity=connectivity,
        image_shape=trainer.data.image_shape,
        geometries=geometry_named(network, connectivity),
    )
    summary = {
        "accuracy": accuracy,
        "evaluated_on": trainer.data.evaluated_on,
        "density": connectivity.density,
        "nonzero": connectivity.nonzero,
        "prunable": connectivity.prunable,
        **_connections(network, connectivity, example),
        **_effective(network, connectivity, example),
        "layers": connectivity.layers(),
        "seconds": sum(times) if times else None,
        **{key: description.get(key) for key in _REPEATED},
        "steps": trainer.total_steps,
    }
    if description.get("chip") is not None:
        summary["chip"] = placement_of(description["chip"], network, connectivity, example)
    folder.write_json("summary.json", summary)
    return summary


def _connections(network: nn.Module, connectivity: Connectivity, example: Tensor) -> dict[str, Any]:
    """Existing and possible pairs of neurons; None for a network with a convolution that does not run."""
    try:
        counts = connectivity.connections(with_uses(network, geometry_named(network, connectivity), example)).values()
    except InputError as error:
        logger.warning("connections are not counted: %s", error)
        return {"connections": None, "possible_connections": None}
    return {"connections": sum(here for here, _ in counts), "possible_connections": sum(total for _, total in counts)}


def _effective(network: nn.Module, connectivity: Connectivity, example: Tensor) -> dict[str, Any]:
    """Density without dead neurons, and their number; None for a network on which paths cannot be counted."""
    try:
        effective = effective_connectivity(network, connectivity, example)
    except Exception as error:  # a network of the user's own may do anything in its forward pass
        logger.warning("no effective density: paths cannot be counted in this network (%s)", error)
        return {"effective_density": None, "dead_neurons": None}
    dead = units_without_synapse(network, effective)
    return {
        "effective_density": effective.density,
        "dead_neurons": {name: int(units.sum()) for name, units in dead.items()},
    }
