"""Cost of a network and the chips that it fits, as plain values."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Any

from torch import Tensor, nn

from ..connectivity import Connectivity
from ..errors import InputError
from ..graph import geometry
from ..options import Converted, Fraction, check, checked
from ..probe import Axes, Batch, Batches, each_batch, inputs_of
from ..synapses import Exclude, Include, entries_of
from .assessment import Assessment
from .chip import CHIPS, Chip, find_chip
from .covered import chosen, not_pruned, present
from .energy import Cost, estimate_energy
from .merging import NotOnChips
from .operations import Operations, Static, count_operations
from .placement import Placement, fit
from .placement.loads import core_loads
from .placement.result import cannot
from .unchecked import not_checked
from .wiring import wire


def _stream(batches: Any) -> Iterator[Batch]:
    """Batches that are checked and read one by one."""
    return each_batch([batches] if isinstance(batches, Tensor) else batches)


# Known of a run, if there is one.
_RUN = ("model", "data", "method", "neuron", "accuracy", "evaluated_on", "density", "seed", "dense_accuracy")


@checked
def assess(
    network: nn.Module,
    batches: Annotated[Batches | Tensor, Converted(_stream)],
    *,
    connectivity: Connectivity | None = None,
    chips: str | os.PathLike[str] | Chip | Iterable[str | os.PathLike[str] | Chip] | None = None,
    cost: str | Cost = "45nm-float32",
    static: Static = "once",
    exclude: Exclude = (),
    include: Include = (),
    layout: Axes = None,
    run: Mapping[str, Any] | None = None,
) -> Assessment:
    """Count the operations of a network on real inputs, and place it on chips.

    Args:
        network: left as it was.
        batches: inputs as the network takes them, with or without labels; or a single batch of inputs.
        connectivity: which synapses exist; None: those whose weight is not 0. Layers that it leaves out are dense.
        chips: one or several: names, paths of .toml files, or chips; None: all that are known.
        cost: as in `estimate_energy`.
        static: as in `count_operations`.
        exclude: layers that are not counted and not on the chip.
        include: parameters to take as synapses, as in `find_synapses`; those that the connectivity names are.
        layout: axes of the inputs, as in `count_operations`.
        run: what is known of a training: model, data, method, neuron, accuracy, dense_accuracy, evaluated_on, density,
            seed. Other keys are ignored, so that a run's summary can be passed.

    Raises:
        InputError: no batches, an unknown chip, a connectivity of another network, a network that does not take the
            inputs or cannot be counted, or an accuracy outside [0, 1]. A network that no chip here can be described for
            "cannot" be placed on each, with the reason.
    """
    given = _run(run or {})
    known = _find(CHIPS.names() if chips is None else chips)
    exclude = chosen(network, connectivity, entries_of(exclude, include))
    kept = present(network, connectivity, exclude)
    example, stream = _first(batches)
    shapes = geometry(network, example, exclude=exclude, layout=layout)
    whole = Connectivity({**dict(Connectivity.dense(network, exclude=exclude)), **kept})
    operations = count_operations(network, stream, connectivity=whole, static=static, exclude=exclude, layout=layout)
    try:
        layers = wire(network, example, connectivity=whole, exclude=exclude, layout=layout) if known else []
        placed = {name: (fit(layers, chip), chip) for name, chip in known.items()}
    except NotOnChips as reason:
        layers = []
        placed = {name: (cannot(chip, [str(reason)]), chip) for name, chip in known.items()}
    content = {
        "run": given,
        "connectivity": _connectivity(kept, kept.connections(shapes)),
        "not_pruned": not_pruned(network, kept, exclude),
        "operations": _operations(operations),
        "energy": _energy(_connectivity(whole, whole.connections(shapes)), operations, cost),
        "chips": {
            name: {
                **_placement(placement, chip),
                "cores_load": core_loads(layers, placement, operations),
                "not_checked": not_checked(network, operations, chip),
            }
            for name, (placement, chip) in placed.items()
        },
    }
    return Assessment(json.dumps(content))


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: run.get(key) for key in _RUN}
    for key in ("accuracy", "dense_accuracy"):
        found[key] = check(f"{key} of the run", found[key], Fraction | None)
    return found


def _first(batches: Iterable[Batch]) -> tuple[Tensor, Iterator[Batch]]:
    """The inputs of the first batch, and all batches: a generator is read once, batch by batch."""
    stream = iter(batches)
    first = next(stream, None)
    if first is None:
        raise InputError("batches must hold at least one batch of inputs, found none")
    return inputs_of(first), chain([first], stream)


def _find(chips: str | os.PathLike[str] | Chip | Iterable[str | os.PathLike[str] | Chip]) -> dict[str, Chip]:
    several = [chips] if isinstance(chips, str | os.PathLike | Chip) else chips
    found = [(str(chip), find_chip(chip)) if not isinstance(chip, Chip) else (chip.key, chip) for chip in several]
    return dict(found)


def _placement(placement: Placement, chip: Chip) -> dict[str, Any]:
    return {
        "verdict": placement.verdict,
        "reasons": list(placement.reasons),
        "changes": list(placement.changes),
        "cores": placement.cores,
        "chips": placement.chips,
        "by_layer": dict(placement.by_layer),
        "assumptions": list(placement.assumptions),
        "zeros_free": chip.zeros,
    }


def _connectivity(kept: Connectivity, connections: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    return {
        "density": kept.density,
        "nonzero": kept.nonzero,
        "prunable": kept.prunable,
        "connections": sum(here for here, _ in connections.values()),
        "possible_connections": sum(total for _, total in connections.values()),
        "by_layer": {
            name: {**row, "shape": list(row["shape"]), "connections": here, "possible_connections": total}
            for (name, row), (here, total) in zip(kept.layers().items(), connections.values(), strict=True)
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
            "The ANN twin multiplies once per connection; zero activations are not subtracted.",
        ],
    }
