"""Energy of synaptic operations. Never a number without what it assumes."""

from dataclasses import dataclass

from ..errors import InputError
from ..options import Count, NonNegative, check_fields, checked
from .operations import Operations


@dataclass(frozen=True)
class Cost:
    """Cost of one operation.

    Attributes:
        name: of this entry.
        accumulate: picojoules for adding a weight for a spike.
        multiply_accumulate: picojoules for multiplying a weight with an analog input and adding it.
        bits: of a weight.
        source: where the numbers are from.

    Raises:
        InputError: a value of another type or outside its range.
    """

    name: str
    accumulate: NonNegative
    multiply_accumulate: NonNegative
    bits: Count
    source: str

    def __post_init__(self) -> None:
        check_fields(self)


_HOROWITZ = 'Horowitz, "Computing\'s energy problem", ISSCC 2014: 45 nm, 0.9 V, arithmetic alone'
COSTS = {
    cost.name: cost
    for cost in (
        Cost("45nm-float32", 0.9, 4.6, 32, _HOROWITZ),
        Cost("45nm-float16", 0.4, 1.5, 16, _HOROWITZ),
        Cost("45nm-int8", 0.03, 0.23, 8, _HOROWITZ),
    )
}


@dataclass(frozen=True)
class Energy:
    """Energy of the synaptic operations of one sample, on average.

    Attributes:
        cost: of an operation, with its source.
        by_layer: parameter name -> picojoules.
        weight_bits_read: weight memory read, if every operation reads its weight: no caching, no reuse.
        assumptions: what these numbers leave out, in a sentence each.
    """

    cost: Cost
    by_layer: dict[str, float]
    weight_bits_read: float
    assumptions: tuple[str, ...]

    @property
    def total(self) -> float:
        """Picojoules."""
        return sum(self.by_layer.values())

    def __str__(self) -> str:
        """The number with its assumptions."""
        lines = [f"{self.total / 1e3:,.1f} nJ a sample for synaptic operations ({self.cost.name}), assuming:"]
        return "\n".join([*lines, *(f"- {assumption}" for assumption in self.assumptions)])


@checked
def estimate_energy(operations: Operations, cost: str | Cost = "45nm-float32") -> Energy:
    """Operations times the cost of each: an addition for a spike, a multiplication and addition for an analog input.

    A convention of the field to compare networks, no prediction for a device: memory access, which is left out,
    costs more than arithmetic, and a spiking network must spike rarely to beat its quantised twin (arXiv 2409.08290: at
    5 time steps at less than about 6 %).

    Args:
        operations: counted on real inputs.
        cost: a name of `COSTS`, or your own.

    Raises:
        InputError: an unknown name; the known ones are listed.
    """
    if isinstance(cost, str):
        if cost not in COSTS:
            raise InputError(f"unknown cost {cost!r}: known are {', '.join(COSTS)}")
        cost = COSTS[cost]
    by_layer = {
        name: layer.mean * (cost.accumulate if layer.spiking else cost.multiply_accumulate)
        for name, layer in operations.layers.items()
    }
    done = sum(layer.mean for layer in operations.layers.values())
    still = [name for name, layer in operations.layers.items() if layer.static]
    assumptions = (
        f"{cost.accumulate:g} pJ for an addition, {cost.multiply_accumulate:g} pJ for a multiplication and addition "
        f"({cost.source})",
        "zero weights cost nothing: the hardware skips every one of them",
        f"weights have {cost.bits} bits; reading them, spikes and neuron states costs nothing "
        f"(it would be {done * cost.bits / 8e3:,.1f} kB of weights a sample without any reuse)",
        "neuron updates, normalisation, biases and communication cost nothing",
        *([f"{', '.join(still)} sees a still input and is counted {_times(operations, still[0])}"] if still else []),
    )
    return Energy(cost, by_layer, done * cost.bits, assumptions)


def _times(operations: Operations, name: str) -> str:
    steps = len(operations.layers[name].per_step)
    return "once" if steps == 1 else f"at each of {steps} time steps"
