"""The graph of a network: populations, and the projections between them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Literal

from ..text import aligned, html_table

PopulationKind = Literal["input", "neuron", "comparison", "activation", "virtual", "output"]
Operation = Literal["linear", "convolution", "transposed", "bilinear", "product", "identity"]


@dataclass(frozen=True, kw_only=True)
class Population:
    """Units that send values on: the inputs, a group of neurons, or the outputs.

    Attributes:
        name: of the module, with the number of the call behind it where one module makes several populations.
        kind: "neuron" (a neuron module), "comparison" (of hand-written neurons), "activation" (ReLU and the like),
            "virtual" (a linear map meets another one, with no neuron between), "input", or "output".
        shape: of one sample at one time step.
        module: class of the neuron, or the operator.
        calls: how often it is computed in a run.
        graded: whether its values may be others than 0 and 1.
    """

    name: str
    kind: PopulationKind
    shape: tuple[int, ...]
    module: str = ""
    calls: int = 1
    graded: bool = False

    @property
    def size(self) -> int:
        """Number of units."""
        return prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class Projection:
    """One use of a tensor of weights, or a connection without weights, between populations.

    Attributes:
        name: of the parameter, with the number of the use behind it where there are several.
        parameter: name of the tensor of weights; None for a connection without weights (a skip connection, a product).
        operation: the operator.
        sources: populations whose values it reads.
        target: population that it leads to.
        inputs: shape of what it reads, for one sample at one time step; of a convolution (C, *spatial).
        outputs: shape of what it makes.
        stride, padding, dilation, groups: of a convolution.
        positions: how many positions or tokens of one sample share the weights at a time step; 1 for a plain matrix.
        delays: for each source, time steps between it and the target, 0 but for recurrent ones.
        steps: number of time steps at which it runs.
        static: whether what it reads does not depend on time.
        calls: how often it is called in a run.
        between: operators between the sources and the target that are more than a change of shape.
        module: name of the module in which it runs.
    """

    name: str
    parameter: str | None
    operation: Operation
    sources: tuple[str, ...]
    target: str
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    positions: int = 1
    delays: tuple[int, ...] = ()
    steps: int = 1
    static: bool = False
    calls: int = 1
    between: tuple[str, ...] = ()
    module: str = ""

    @property
    def delay(self) -> int:
        """The longest of its delays."""
        return max(self.delays, default=0)


@dataclass(frozen=True, kw_only=True, repr=False)
class Graph:
    """Populations and projections of a network, as one run on an example shows them.

    Attributes:
        network: class of the network.
        layout: of each input: "B", "TB", "BT", with "" where no axis of samples was found.
        timesteps: T.
        populations: name -> population, in the order in which they are computed.
        projections: in the order in which they run.
        outputs: populations that the network returns.
        unused: tensors of synapses that no call used.
        opaque: operators that are not known, with the module in which they run: everything through them is taken to
            depend on everything.
        notes: what else is to be known, a sentence each.
    """

    network: str
    layout: tuple[str, ...]
    timesteps: int
    populations: Mapping[str, Population]
    projections: tuple[Projection, ...]
    outputs: tuple[str, ...]
    unused: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def into(self, population: str) -> list[Projection]:
        """Return the projections that lead to a population."""
        return [projection for projection in self.projections if projection.target == population]

    def __repr__(self) -> str:
        units = sum(p.size for p in self.populations.values() if p.kind not in ("input", "virtual"))
        return (
            f"Graph({self.network}: {len(self.populations)} populations with {units:,} units, "
            f"{len(self.projections)} projections, {self.timesteps} time steps)"
        )

    def __str__(self) -> str:
        parts = [
            repr(self),
            aligned(self._populations(), left=(0, 1, 2, 4)),
            aligned(self._projections(), left=range(8)),
        ]
        parts += [f"not used: {', '.join(self.unused)}"] if self.unused else []
        parts += [f"not known, everything through it counts as connected: {name}" for name in self.opaque]
        return "\n\n".join([*parts, *self.notes])

    def _repr_html_(self) -> str:
        return html_table(self._populations(), left=(0, 1, 2, 4)) + html_table(self._projections(), left=range(8))

    def _populations(self) -> list[tuple[str, ...]]:
        rows = [("population", "kind", "of", "units", "shape")]
        for p in self.populations.values():
            rows.append((p.name, p.kind, p.module, f"{p.size:,}", "x".join(map(str, p.shape)) or "1"))
        return rows

    def _projections(self) -> list[tuple[str, ...]]:
        rows = [("projection", "operation", "from", "to", "reads", "makes", "runs", "between")]
        for p in self.projections:
            runs = "once" if p.steps == 1 else f"{p.steps} steps"
            runs += f", delay {p.delay}" if p.delay else ""
            reads, makes = ("x".join(map(str, shape)) for shape in (p.inputs, p.outputs))
            rows.append((p.name, p.operation, ", ".join(p.sources), p.target, reads, makes, runs, ", ".join(p.between)))
        return rows
