"""The end of a run: evaluation, connectivity, exports, pictures, and last of all the summary."""

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..connectivity import Connectivity
from ..errors import InputError
from ..export import save_csr
from ..paths import effective_connectivity, units_without_synapse
from ..report import plot_run
from ..synapses import geometry
from ..training import RunFolder, Trainer
from .chips import placement_of
from .parts import example_of

logger = logging.getLogger(__name__)

# Entries of `config.json` that the summary repeats.
_REPEATED = ("method", "model", "data", "neuron", "epochs", "seed")


def finish(description: Mapping[str, Any], trainer: Trainer, folder: RunFolder) -> dict[str, Any]:
    """Evaluate once, write everything that a finished run has, and return its summary.

    Args:
        description: content of `config.json`.
        trainer: after its last step; its method is finalized.
        folder: open.
    """
    connectivity = trainer.method.finalize().to("cpu")
    network, rows = trainer.network, folder.rows()
    example = example_of(trainer.data, network)
    accuracy = trainer.evaluate()
    connectivity.save(folder.path / "connectivity.safetensors")
    save_csr(folder.path / "connectivity.npz", network, connectivity)
    plot_run(
        folder.path / "figures",
        metrics=rows,
        connectivity=connectivity,
        image_shape=trainer.data.image_shape,
        geometries=geometry(network),
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
        "seconds": sum(row["seconds"] for row in rows),
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
        counts = connectivity.connections(geometry(network, example)).values()
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
