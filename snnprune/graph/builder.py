"""From a tape to a graph: which populations there are, and which projections lead from one to another."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from ..errors import InputError
from .carried import GATE, Cargo, Carried
from .graph import Graph, Population, PopulationKind, Projection
from .layouts import Layout
from .operators import ACTIVATIONS, COMPARISONS
from .replay import Shadow, operands_of
from .stamps import is_multi, latest
from .tape import Step, Tape
from .use import Use, plain_shape, projection_of, use_of

_DECIDES = "the network decides on values: the graph holds for the branch that this example takes"


@dataclass
class _Edge:
    """A projection in the making."""

    projection: Projection
    made: tuple[int | None, ...]  # time step of each source at this use; None for those of all steps at once
    targets: list[str] = field(default_factory=list)


class Builder:
    """Walks along a tape, and collects populations, projections and uses.

    Args:
        network: without wrappers.
        names: of the tensors of synapses that are asked about.
        tape: of the network.
        layout: of its inputs.
    """

    def __init__(self, network: nn.Module, names: Sequence[str], tape: Tape, layout: Layout) -> None:
        self.network, self.names, self.tape, self.layout = network, names, tape, layout
        self.stamps = layout.stamps(tape)
        self.cargo = Cargo(tape)
        self.populations: dict[str, Population] = {}
        self.edges: list[_Edge] = []  # one for each use
        self.skips: dict[tuple[str, str], Projection] = {}
        self.uses: list[Use] = []
        self.opaque: dict[str, None] = {}
        self.units: dict[int, str] = {}
        self.steps = 1
        self._sites: dict[Any, str] = {}  # places in the program -> names
        self._calls: dict[Any, int] = {}
        self._shadows: dict[int, Shadow] = {}
        self._made: dict[str, int | None] = {}  # time step of the last call of a population
        for number, (index, axes) in enumerate(zip(tape.inputs, layout.axes, strict=True)):
            name = "input" if len(tape.inputs) == 1 else f"input{number}"
            shape = tuple(size for axis, size in enumerate(tape.shapes[index]) if axis not in axes)
            self.populations[name] = Population(name=name, kind="input", shape=shape, graded=True)
            self._let_hold(index, name)

    def visit(self, step: Step, parts: list[Shadow]) -> None:
        """Follow one step; `parts` are the stamps of its inputs."""
        self._shadows.update(zip(step.inputs(), parts, strict=True))
        self.steps = max(self.steps, *(_last(part) for part in parts), 0)
        kind = self._kind_of(step)
        if kind is not None:
            self._add_population(step, kind)
        elif step.kind == "contract" and any(self.cargo.of(index).depends for index in operands_of(step)):
            self.cargo.assign(step, Carried(drives={self._add_use(step): ()}))
        else:
            carried = self.cargo.hand_on(step)
            if step.kind == "opaque" and carried.depends:
                self.opaque[f"{step.name} in {step.module or type(self.network).__name__}"] = None

    def _kind_of(self, step: Step) -> PopulationKind | None:
        """Return the kind of the population that a step makes, if it makes one."""
        carried = [self.cargo.of(index) for index in step.inputs()]
        if all(index is None for index in step.outputs):
            return None
        if step.kind == "neuron":
            return "neuron"
        if step.name in COMPARISONS and any(one.depends for one in carried):
            return "comparison"
        return "activation" if step.name in ACTIVATIONS and any(one.drives for one in carried) else None

    def _let_hold(self, index: int, name: str, *, alone: bool = False) -> None:
        """Note that a tensor holds the values of a population."""
        self.cargo.replace(index, Carried({name: ()}), alone=alone)
        self.units[index] = name

    def _name(self, key: Any, wanted: str) -> tuple[str, bool]:
        """Return the name of a place in the program, with a number behind it if it is taken; and whether it is new."""
        if key in self._sites:
            return self._sites[key], False
        taken = set(self._sites.values())
        names = (wanted if not number else f"{wanted}#{number + 1}" for number in range(len(taken) + 1))
        self._sites[key] = next(name for name in names if name not in taken)
        return self._sites[key], True

    def _call(self, key: Any) -> int:
        """Return the number of this call of a place in the program, from 0 on."""
        self._calls[key] = call = self._calls.get(key, -1) + 1
        return call

    # --- Uses of weights

    def _add_use(self, step: Step) -> int:
        """Record a contraction of values, and return its number."""
        factors = operands_of(step)
        weights = next((n for n, index in enumerate(factors) if index in self.cargo.chains), None)
        if weights is None:
            self._refuse_derived(step, factors)
        origin = None if weights is None else self.cargo.chains[factors[weights]]
        key = (origin[0] if origin else None, step.module, step.site)
        name, _ = self._name(key, origin[0] if origin else f"{step.module or 'network'}.{step.name}")
        use = use_of(
            self.tape,
            self.stamps,
            self._shadows,
            step,
            name=name,
            weights=weights,
            origin=origin,
            call=self._call(key),
        )
        sources: dict[str, None] = {}
        between: tuple[str, ...] = ()
        for index in (index for n, index in enumerate(factors) if n != weights):
            found = self._sources(index)
            sources |= dict.fromkeys(found)
            between = between or next(iter(found.values()), ())
            if GATE not in between and any(GATE in way for way in found.values()):
                between = (*between, GATE)
        projection = projection_of(self.tape, use, tuple(sources), between)
        self.uses.append(use)
        self.edges.append(_Edge(projection, tuple(self._made.get(source) for source in sources)))
        return len(self.uses) - 1

    def _refuse_derived(self, step: Step, factors: list[int]) -> None:
        for index in factors:
            carried = self.cargo.of(index)
            if not carried.depends and (derived := carried.parameters & set(self.names)):
                raise InputError(
                    f"{min(derived)} acts through a function of it in {step.module or 'the network'}: what acts is not "
                    "what is stored; replace the layer by a plain one, or exclude it"
                )

    def _sources(self, index: int) -> dict[str, tuple[str, ...]]:
        """Return the populations whose values a tensor holds; what no neuron has read becomes a virtual one."""
        carried = self.cargo.of(index)
        found = dict(carried.sources)
        if carried.drives:
            found[self._virtual(carried)] = ()
            # From here on the tensor holds the values of that population.
            self.cargo.replace(index, Carried(dict(found), {}, carried.parameters))
        return found

    def _virtual(self, carried: Carried) -> str:
        """Return the population that a sum of linear maps is, where another one reads it."""
        first = self.edges[min(carried.drives)].projection
        key = ("virtual", frozenset(self.edges[number].projection.name for number in carried.drives))
        name, new = self._name(key, f"{first.name.removesuffix('.weight')}:out")
        if new:
            shape = first.outputs
            self.populations[name] = Population(name=name, kind="virtual", shape=shape, module="sum", graded=True)
        self._arrive(Carried(drives=carried.drives), name, when=None)
        return name

    # --- Populations

    def _add_population(self, step: Step, kind: PopulationKind) -> None:
        """Record a population that a step makes, and what leads to it."""
        key = (kind, step.module, step.site)
        name, new = self._name(key, step.module or step.name)
        call = self._call(key) + 1
        if new:
            shape, graded = self._plain_shape(step), kind == "activation"
            self.populations[name] = Population(name=name, kind=kind, shape=shape, module=step.name, graded=graded)
        self.populations[name] = replace(self.populations[name], calls=call)
        times = (_last(self._shadows[index]) for index in step.inputs())
        all_at_once = step.kind == "neuron" and is_multi(step)
        self._made[name] = when = None if all_at_once else max(times, default=0) or call
        self._arrive(self.cargo.together(step), name, when)
        for index in step.outputs:
            if index is not None:
                self._let_hold(index, name, alone=index not in step.mutated)

    def _plain_shape(self, step: Step) -> tuple[int, ...]:
        """Return the shape of what a step reads, without samples and time steps."""
        shadow = self._shadows[step.inputs()[0]]
        if step.kind == "neuron" and is_multi(step):
            shadow = tuple(part[-1] for part in shadow)  # the last step: a delay leaves the first ones empty
        return plain_shape(shadow, self.stamps.samples)

    def _arrive(self, carried: Carried, target: str, when: int | None) -> None:
        """Let uses lead to a population that is computed at a time step; None for all steps at once."""
        for number, way in carried.drives.items():
            edge = self.edges[number]
            if target not in edge.targets:
                edge.targets.append(target)
                delays = tuple(0 if when is None or made is None else max(0, when - made) for made in edge.made)
                between = (*edge.projection.between, *(name for name in way if name not in edge.projection.between))
                edge.projection = replace(edge.projection, delays=delays, between=between)
        for source, way in carried.sources.items():
            if source != target and (source, target) not in self.skips:
                self.skips[source, target] = _skip(source, target, self.populations[source].shape, way)

    # --- Result

    def graph(self) -> Graph:
        """Return the graph, when all steps have been followed."""
        outputs: dict[str, None] = {}
        for number, index in enumerate(self.tape.outputs):
            carried = self.cargo.of(index)
            outputs |= dict.fromkeys(carried.sources)
            if carried.drives:
                name = "output" if len(self.tape.outputs) == 1 else f"output{number}"
                shape = self.edges[min(carried.drives)].projection.outputs
                self.populations[name] = Population(name=name, kind="output", shape=shape, graded=True)
                self._arrive(carried, name, when=None)
                outputs[name] = None
        used = {use.parameter for use in self.uses}
        decides = any(step.kind == "value" and self.cargo.together(step).depends for step in self.tape.steps)
        return Graph(
            network=type(self.network).__name__,
            layout=self.layout.names(),
            timesteps=self.steps,
            populations=dict(self.populations),
            projections=(*_projections(self.edges), *self.skips.values()),
            outputs=tuple(outputs),
            unused=tuple(name for name in self.names if name not in used),
            opaque=tuple(self.opaque),
            notes=(_DECIDES,) if decides else (),
        )


def _last(shadow: Shadow) -> int:
    return int(latest(shadow).max()) if shadow[0].numel() else 0


def _skip(source: str, target: str, shape: tuple[int, ...], way: tuple[str, ...]) -> Projection:
    """Return a connection without weights."""
    return Projection(
        name=f"{source} to {target}",
        parameter=None,
        operation="identity",
        sources=(source,),
        delays=(0,),
        target=target,
        inputs=shape,
        outputs=shape,
        between=way,
    )


def _projections(edges: Sequence[_Edge]) -> list[Projection]:
    """Return one projection for each place in the program and each target."""
    found: dict[tuple[str, str], Projection] = {}
    for edge in edges:
        for target in edge.targets or [""]:
            key, mine = (edge.projection.name, target), replace(edge.projection, target=target)
            if (known := found.get(key)) is not None:
                delays = dict(zip(known.sources, known.delays, strict=True))
                for source, delay in zip(mine.sources, mine.delays, strict=True):
                    delays[source] = max(delay, delays.get(source, 0))
                mine = replace(
                    known,
                    sources=tuple(delays),
                    delays=tuple(delays.values()),
                    calls=known.calls + 1,
                    steps=known.steps + mine.steps,
                )
            found[key] = mine
    return list(found.values())
