"""Cost of a network and the chips that it fits, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..connectivity import Connectivity
from ..errors import InputError
from ..probe import Batches, inputs_of
from ..synapses import Exclude, geometry
from ..text import html_table
from .chip import CHIPS, Chip, find_chip
from .energy import Cost, estimate_energy
from .operations import Operations, Static, count_operations
from .placement import Placement, fit
from .unchecked import not_checked
from .wiring import wire

# Known of a run, if there is one.
_RUN = ("model", "data", "method", "neuron", "accuracy", "evaluated_on", "density", "seed")
# Verdicts as words: sizes alone are compared.
VERDICTS = {"fits": "fits by size", "needs-more-chips": "needs more chips", "cannot": "cannot"}


@dataclass(frozen=True, repr=False)
class Assessment:
    """Connectivity, operations, energy and chips of a network; `print` it, or write a page with `report.save_page`.

    Attributes:
        content: what `report.json` holds (docs/chips.md lists it), as plain values.
        table: the connectivity, a line a layer.
    """

    content: Mapping[str, Any]
    table: str

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `report.json`."""
        return dict(self.content)

    @property
    def fitting(self) -> list[str]:
        """Chips that the network fits by size."""
        return [name for name, chip in self.content["chips"].items() if chip["verdict"] == "fits"]

    def __repr__(self) -> str:
        kept, done = self.content["connectivity"], self.content["operations"]
        return (
            f"Assessment({kept['nonzero']:,} of {kept['prunable']:,} synapses, {done['synaptic_operations']:,.0f} "
            f"synaptic operations a sample, fits {len(self.fitting)} of {len(self.content['chips'])} chips)"
        )

    def __str__(self) -> str:
        operations, energy = self.content["operations"], self.content["energy"]
        done, dense = operations["synaptic_operations"], operations["if_dense"]
        own, full, twin, full_twin = (
            f"{energy[key] / 1e3:,.1f}" for key in ("picojoules", "if_dense", "ann_twin", "ann_twin_dense")
        )
        lines = [
            self.table,
            f"{done:,.0f} synaptic operations a sample (dense: {dense:,.0f}) and "
            f"{operations['multiply_accumulates']:,.0f} multiplications for analog inputs, on "
            f"{operations['samples']:,} samples",
            f"{own} nJ a sample at {energy['cost']} (dense {full}, ANN twin {twin}, dense ANN twin {full_twin}); "
            "the assumptions are in report.json",
        ]
        for name, chip in self.content["chips"].items():
            lines.append(f"{name}: {VERDICTS[chip['verdict']]}; {'; '.join(chip['reasons'])}")
            lines += [f"    {change}" for change in chip["changes"]]
            lines += [f"    not checked: {', '.join(chip['not_checked'])}"] if chip["verdict"] != "cannot" else []
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows: list[tuple[str, ...]] = [("chip", "verdict", "why", "what would help", "not checked")]
        for name, chip in self.content["chips"].items():
            parts = (chip[key] for key in ("reasons", "changes", "not_checked"))
            rows.append((name, VERDICTS[chip["verdict"]], *("; ".join(part) for part in parts)))
        layers = [("layer", "synapses", "of", "density", "operations a sample")]
        done = self.content["operations"]["by_layer"]
        layers += [
            (name, f"{row['nonzero']:,}", f"{row['prunable']:,}", f"{row['density']:.3%}", _operations_of(done, name))
            for name, row in self.content["connectivity"]["by_layer"].items()
        ]
        return html_table(layers) + html_table(rows, left=range(5))


def assess(
    network: nn.Module,
    batches: Batches | Tensor,
    *,
    connectivity: Connectivity | None = None,
    chips: Sequence[str | Chip] | None = None,
    cost: str | Cost = "45nm-float32",
    static: Static = "once",
    exclude: Exclude = (),
    run: Mapping[str, Any] | None = None,
) -> Assessment:
    """Count what a network does on real inputs, and place it on chips.

    Args:
        network: left as it was.
        batches: inputs as the network takes them, with or without labels; or a single batch of inputs.
        connectivity: which synapses exist; None: those whose weight is not 0.
        chips: names, paths of .toml files, or chips; None: all that are known.
        cost: as in `estimate_energy`.
        static: as in `count_operations`.
        exclude: layers that are not counted and not on the chip.
        run: what is known of a training: model, data, method, neuron, accuracy, dense_accuracy, evaluated_on, density,
            seed.

    Raises:
        InputError: no batches, an unknown chip, a connectivity of another network, or a network that cannot be counted
            or placed.
    """
    given = [batches] if isinstance(batches, Tensor) else list(batches)
    if not given:
        raise InputError("batches must hold at least one batch of inputs, found none")
    present = Connectivity.from_network(network, exclude=exclude) if connectivity is None else connectivity
    present.check(network)
    known = _find(CHIPS.names() if chips is None else chips)
    example = inputs_of(given[0])[:1]
    operations = count_operations(network, given, connectivity=present, static=static, exclude=exclude)
    layers = wire(network, example, connectivity=present, exclude=exclude)
    shapes = geometry(network, example, exclude=exclude)
    kept = _connectivity(present, present.connections(shapes))
    placed = {name: (fit(layers, chip), chip) for name, chip in known.items()}
    content = {
        "run": {key: (run or {}).get(key) for key in (*_RUN, "dense_accuracy")},
        "connectivity": kept,
        "operations": _operations(operations),
        "energy": _energy(kept, operations, cost),
        "chips": {
            name: {**_placement(placement, chip), "not_checked": not_checked(network, operations, chip)}
            for name, (placement, chip) in placed.items()
        },
    }
    return Assessment(content, present.table(shapes))


def _find(chips: Sequence[str | Chip]) -> dict[str, Chip]:
    if isinstance(chips, str | Chip):
        chips = [chips]
    return {chip.key if isinstance(chip, Chip) else chip: _as_chip(chip) for chip in chips}


def _as_chip(chip: str | Chip) -> Chip:
    return chip if isinstance(chip, Chip) else find_chip(chip)


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


def _operations_of(done: Mapping[str, Any], name: str) -> str:
    return f"{done[name]['operations']:,.0f} {done[name]['kind']}" if name in done else ""


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
