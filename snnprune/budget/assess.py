"""What a finished run costs and where it fits, as plain values."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..runs.finished_run import FinishedRun
from ..synapses import geometry
from .chip import find_chip
from .energy import Cost, estimate_energy
from .operations import Operations, count_operations
from .placement.fit import fit
from .wiring import wire

# What is said of the run itself.
_RUN = ("model", "data", "method", "neuron", "accuracy", "evaluated_on", "density", "seed")


def assess(
    run: FinishedRun, names: Sequence[str], *, samples: int = 1000, cost: str | Cost = "45nm-float32"
) -> dict[str, Any]:
    """All that `snnprune report` says.

    Args:
        run: of `read_run`.
        names: of chips, or paths of .toml files.
        samples: evaluation images to count operations on.
        cost: as in `estimate_energy`.

    Returns:
        what `report.json` holds; docs/chips.md lists it.

    Raises:
        InputError: an unknown chip, or a network that cannot be counted or placed.
    """
    known = {name: find_chip(name) for name in names}
    operations = count_operations(run.network, run.batches(samples), connectivity=run.connectivity)
    layers = wire(run.network, run.example(), connectivity=run.connectivity)
    placed = {name: fit(layers, chip) for name, chip in known.items()}
    connectivity = _connectivity(run)
    return {
        "run": {key: run.summary.get(key) for key in _RUN},
        "connectivity": connectivity,
        "operations": _operations(operations),
        "energy": _energy(connectivity, operations, cost),
        "chips": {
            name: {
                "verdict": placement.verdict,
                "reasons": list(placement.reasons),
                "changes": list(placement.changes),
                "cores": placement.cores,
                "chips": placement.chips,
                "by_layer": dict(placement.by_layer),
                "assumptions": list(placement.assumptions),
                "zeros_free": known[name].zeros,
            }
            for name, placement in placed.items()
        },
    }


def _connectivity(run: FinishedRun) -> dict[str, Any]:
    shapes = geometry(run.network, run.example())
    connections = run.connectivity.connections(shapes)
    return {
        "density": run.connectivity.density,
        "nonzero": run.connectivity.nonzero,
        "prunable": run.connectivity.prunable,
        "connections": sum(here for here, _ in connections.values()),
        "possible_connections": sum(total for _, total in connections.values()),
        "by_layer": {
            name: {**row, "shape": list(row["shape"]), "connections": here, "possible_connections": total}
            for (name, row), (here, total) in zip(run.connectivity.layers().items(), connections.values(), strict=True)
        },
    }


def _operations(operations: Operations) -> dict[str, Any]:
    each = operations.synaptic_operations_per_sample
    return {
        "samples": operations.samples,
        "timesteps": operations.timesteps,
        "synaptic_operations": operations.synaptic_operations,
        "multiply_accumulates": operations.multiply_accumulates,
        "if_dense": sum(layer.if_dense for layer in operations.layers.values() if layer.spiking),
        "per_sample": {
            "std": float(each.std()) if len(each) > 1 else 0.0,
            **{f"{100 * share:g}%": float(each.quantile(share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)},
        },
        "by_layer": {
            name: {
                "operations": layer.mean,
                "kind": "additions" if layer.spiking else "multiply-accumulates",
                "once": layer.static and len(layer.per_step) == 1,
                "if_dense": layer.if_dense,
                "inputs_not_0": layer.events,
                "per_step": layer.per_step.tolist(),
            }
            for name, layer in operations.layers.items()
        },
    }


def _energy(connectivity: Mapping[str, Any], operations: Operations, cost: str | Cost) -> dict[str, Any]:
    energy = estimate_energy(operations, cost)
    costs = energy.cost
    dense = sum(
        layer.if_dense * (costs.accumulate if layer.spiking else costs.multiply_accumulate)
        for layer in operations.layers.values()
    )
    return {
        "cost": costs.name,
        "picojoules": energy.total,
        "by_layer": energy.by_layer,
        "if_dense": dense,
        "ann_twin": connectivity["connections"] * costs.multiply_accumulate,
        "ann_twin_dense": connectivity["possible_connections"] * costs.multiply_accumulate,
        "weight_bits": connectivity["nonzero"] * costs.bits,
        "weight_bits_read": energy.weight_bits_read,
        "assumptions": [
            *energy.assumptions,
            "if_dense: the same spikes through a network with all of its synapses",
            "the ANN twin multiplies at every connection once; that of its activations some are 0 is not counted",
        ],
    }


def told(run: FinishedRun, content: Mapping[str, Any]) -> str:
    """The report for the screen."""
    operations, energy = content["operations"], content["energy"]
    done, dense = operations["synaptic_operations"], operations["if_dense"]
    own, full, twin, full_twin = (
        f"{energy[key] / 1e3:,.1f}" for key in ("picojoules", "if_dense", "ann_twin", "ann_twin_dense")
    )
    lines = [
        run.connectivity.table(geometry(run.network, run.example())),
        f"{done:,.0f} synaptic operations a sample (dense: {dense:,.0f}) and {operations['multiply_accumulates']:,.0f} "
        f"multiplications for analog inputs, on {operations['samples']:,} images",
        f"{own} nJ a sample for them at {energy['cost']} (dense {full}, ANN twin {twin}, dense ANN twin {full_twin}); "
        "what that assumes is in report.json",
    ]
    for name, chip in content["chips"].items():
        lines.append(f"{name}: {chip['verdict']}; {'; '.join(chip['reasons'])}")
        lines += [f"    {change}" for change in chip["changes"]]
    return "\n".join(lines)
