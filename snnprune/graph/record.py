"""Record the graph of a network: what each tensor of the tape carries from which population, and by which weights."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ..errors import InputError
from ..options import checked
from ..probe import Axes, Inputs, split_batch
from ..synapses import Exclude, find_synapses, unwrapped
from .graph import Graph, Operation, Population, Projection
from .layouts import Layout, check_strangers, cut_for, find_layout
from .operators import ACTIVATIONS, COMPARISONS, arguments_of, names_of, plain_name
from .replay import Shadow, operands_of
from .stamps import is_multi, latest, stamp_of
from .tape import Ref, Step, Tape

# Operators that are no more than a change of shape or type, not named between populations.
_PLAIN = names_of("add sub clone copy _to_copy detach alias lift_fresh cat stack contiguous _unsafe_view")


# Functions of each weight by itself that leave 0 at 0.
_KEEPS_ZEROS = names_of("div _to_copy clone detach square pow abs neg relu sign tanh sqrt where masked_fill")


# A product of two values that both depend on the input, between populations.
GATE = "mul of two values"


class Rows(NamedTuple):
    """Which row of a contraction belongs to which sample and time step: rows are [outer, samples, inner].

    Attributes:
        inner: rows between one sample and the next.
        steps: int64 [outer, inner], the time step of each row; -1 for what does not depend on time.
        sampled: whether rows belong to samples; otherwise all rows belong to each.
    """

    inner: int
    steps: Tensor
    sampled: bool


@dataclass(frozen=True)
class Use:
    """One call of an operator with weights, or one product of two values that depend on the input.

    Attributes:
        name: of its projection.
        parameter: name of the tensor of weights; None for a product of values.
        step: its step on the tape.
        weights: which factor holds the weights, 0 or 1.
        chain: steps that lead from the parameter to the factor, all of them moves.
        rows: of the other factor; None where samples mix.
        call: number of the call among those of the same place in the program.
        shape: of the parameter.
        batched: whether the factor is several matrices, one for each entry of a batch, and not one for all.
        real: for each spatial axis of a convolution, where its input depends on the example and is not padding.
        made: shape of the output, for `SAMPLES` samples.
    """

    name: str
    parameter: str | None
    step: Step
    weights: int
    chain: tuple[Step, ...]
    rows: Rows | None
    call: int
    shape: torch.Size
    batched: bool
    real: tuple[Tensor, ...]
    made: torch.Size


@dataclass(frozen=True, eq=False)
class Recorded:
    """A graph with what it was made of, for analyses.

    Attributes:
        graph: the graph.
        inputs: the example, of its full size.
        layout: of the inputs.
        tape: of a run with `SAMPLES` samples.
        uses: in the order in which they ran.
        units: number of a tensor -> the population whose values it holds, nothing else and in their order.
    """

    graph: Graph
    inputs: Inputs
    layout: Layout
    tape: Tape
    uses: tuple[Use, ...]
    units: Mapping[int, str] = field(default_factory=dict)


@checked
def record(network: nn.Module, example: Any, layout: Axes = None, *, exclude: Exclude = ()) -> Graph:
    """Run a network on an example, and return its graph.

    Args:
        network: left as it was; runs in evaluation mode, without gradients, from fresh neurons.
        example: inputs as the network takes them: a tensor, ((a, b), labels) or (a, b, c) for several inputs, a dict
            for inputs by keyword; labels are ignored. Only shapes matter, unless the network decides on values.
        layout: axes of the inputs, "B" (samples first), "TB" (time steps, then samples), "BT", one for all or one for
            each input; None: it is found, by looking what depends on what.
        exclude: as in `find_synapses`: weights of which nothing is asked, whatever kind they are.

    Raises:
        InputError: an example that the network does not take (the layer is named), samples that mix, a layout that is
            wrong or cannot be told, a network on the device "meta", or weights that act through a function of them.
    """
    return recorded_graph(network, example, layout, names=find_synapses(network, exclude=exclude)).graph


def recorded_graph(
    network: nn.Module,
    example: Any,
    layout: Axes = None,
    *,
    names: Collection[str] | None = None,
    mixed: bool = False,
) -> Recorded:
    """Return the graph of a network with what analyses need.

    Args:
        network: as in `record`.
        example: as in `record`.
        layout: as in `record`.
        names: of the tensors of synapses that are asked about; None: all.
        mixed: samples need not be told apart.

    Raises:
        InputError: as `record`; with `mixed`, not for samples that mix or whose axis cannot be told.
    """
    network = unwrapped(network)
    names = list(find_synapses(network)) if names is None else list(names)
    given, labels = split_batch(example)
    inputs = Inputs.of(given)
    if any(parameter.is_meta for parameter in network.parameters()):
        raise InputError(
            'the network has no values (device "meta"): call network.to_empty(device="cpu"), and load them'
        )
    builders: list[_Builder] = []

    def follow(layout: Layout, tape: Tape) -> Callable[[Step, list[Shadow]], None]:
        builders.append(_Builder(network, names, tape, layout))
        return builders[-1].visit

    found, tape = find_layout(network, inputs, layout, labels=_count(labels), mixed=mixed, follow=follow)
    check_strangers(network, cut_for(inputs, found), tape)
    return Recorded(builders[-1].graph(), inputs, found, tape, tuple(builders[-1].uses), builders[-1].units)


def _count(labels: Any) -> int | None:
    return len(labels) if isinstance(labels, Tensor) and labels.dim() else None


@dataclass
class _Carried:
    """What a tensor carries: populations and uses whose values are in it, each with the operators on the way."""

    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)
    drives: dict[int, tuple[str, ...]] = field(default_factory=dict)
    parameters: frozenset[str] = frozenset()

    def through(self, name: str | None) -> "_Carried":
        def longer(way: tuple[str, ...]) -> tuple[str, ...]:
            return way if name is None or name in way else (*way, name)

        return _Carried(
            {key: longer(way) for key, way in self.sources.items()},
            {key: longer(way) for key, way in self.drives.items()},
            self.parameters,
        )

    def add(self, other: "_Carried") -> None:
        for key, way in other.sources.items():
            self.sources.setdefault(key, way)
        for key, way in other.drives.items():
            self.drives.setdefault(key, way)
        self.parameters |= other.parameters

    @property
    def depends(self) -> bool:
        return bool(self.sources or self.drives)


@dataclass
class _Edge:
    """A projection in the making."""

    projection: Projection
    made: tuple[int | None, ...]  # time step of each source at this use; None for those of all steps at once
    targets: list[str] = field(default_factory=list)


class _Builder:
    """Walks along a tape, and collects populations, projections and uses."""

    def __init__(self, network: nn.Module, names: Sequence[str], tape: Tape, layout: Layout) -> None:
        self.network, self.tape, self.stamps, self.layout = network, tape, layout.stamps(tape), layout
        self.names = names
        self.populations: dict[str, Population] = {}
        self.edges: list[_Edge] = []  # one for each use
        self.skips: dict[tuple[str, str], Projection] = {}
        self.uses: list[Use] = []
        self.opaque: dict[str, None] = {}
        self.notes: dict[str, None] = {}
        self.steps = 1
        self.outputs: list[str] = []
        self.units: dict[int, str] = {}
        self._carried: dict[int, _Carried] = {}
        self._root: dict[int, int] = {}
        self._chains: dict[int, tuple[str, tuple[Step, ...]]] = {
            index: (name, ()) for index, name in tape.parameters.items()
        }
        self._shapes = {name: tape.shapes[index] for index, name in tape.parameters.items()}
        self._sites: dict[Any, str] = {}
        self._calls: dict[Any, int] = {}
        self._shadows: dict[int, Shadow] = {}
        self._made: dict[str, int | None] = {}  # time step of the last call of a population
        self._begin()

    # --- What a tensor carries

    def _begin(self) -> None:
        for number, (index, axes) in enumerate(zip(self.tape.inputs, self.layout.axes, strict=True)):
            name = "input" if len(self.tape.inputs) == 1 else f"input{number}"
            shape = [size for axis, size in enumerate(self.tape.shapes[index]) if axis not in axes]
            self.populations[name] = Population(name=name, kind="input", shape=tuple(shape), graded=True)
            self._carried[index] = _Carried({name: ()})
            self.units[index] = name
        for index, name in self.tape.parameters.items():
            self._carried[index] = _Carried(parameters=frozenset({name}))

    def _carry(self, index: int) -> _Carried:
        return self._carried.setdefault(self._root.get(index, index), _Carried())

    def visit(self, step: Step, parts: list[Shadow]) -> None:
        """Follow one step; `parts` are the shadows of its inputs."""
        self._shadows.update(zip(step.inputs(), parts, strict=True))
        for part in parts:
            self.steps = max(self.steps, int(latest(part).max()) if part[0].numel() else 0)
        inputs = step.inputs()
        if step.kind == "neuron":
            self._neuron(step)
        elif step.kind == "contract" and (use := self._used(step)) is not None:
            self._assign(step, _Carried(drives={use: ()}))
        elif step.name in COMPARISONS and any(self._carry(index).depends for index in inputs):
            self._unit(step, "comparison")
        elif step.name in ACTIVATIONS and any(self._carry(index).drives for index in inputs):
            self._unit(step, "activation")
        else:
            self._pass(step)

    def _pass(self, step: Step) -> None:
        carried = _Carried()
        for index in step.inputs():
            carried.add(self._carry(index))
        if step.kind == "opaque" and carried.depends:
            self.opaque[f"{step.name} in {step.module or self.network.__class__.__name__}"] = None
        named = (
            step.name if not (step.operator is not None and step.operator.is_view) and step.name not in _PLAIN else None
        )
        named = plain_name(named) if named else None
        if step.kind == "product" and sum(self._carry(index).depends for index in step.inputs()) > 1:
            named = GATE
        self._assign(step, carried.through(named if carried.depends else None))
        self._follow_weights(step)

    def _assign(self, step: Step, carried: _Carried) -> None:
        view = step.operator is not None and step.operator.is_view and len(step.inputs()) == 1
        for index in step.outputs:
            if index is None:
                continue
            if index in step.mutated or view:
                root = self._root.get(step.inputs()[0], step.inputs()[0])
                self._root.setdefault(index, root)
            if index in step.mutated and not self._is_whole(index):
                self._carry(index).add(carried)
            elif not view:
                self._carried[self._root.get(index, index)] = carried
        if step.mutated and not any(index is not None for index in step.outputs):
            self._carry(step.mutated[0]).add(carried)

    def _is_whole(self, index: int) -> bool:
        return self.tape.shapes[index].numel() == self.tape.shapes[self._root.get(index, index)].numel()

    # --- Weights

    def _follow_weights(self, step: Step) -> None:
        """Follow a tensor of weights through moves, and through factors that are constant."""
        inputs = step.inputs()
        known = [index for index in inputs if index in self._chains]
        if len(known) != 1:
            return
        others = [index for index in inputs if index != known[0]]
        constant = all(not self._carry(index).parameters and not self._carry(index).depends for index in others)
        scaled = step.kind == "product" or step.name in _KEEPS_ZEROS
        if (step.kind == "move" or scaled) and constant:
            name, chain = self._chains[known[0]]
            for index in step.outputs:
                if index is not None and index not in self.tape.parameters:
                    self._chains[index] = (name, (*chain, step))

    def _used(self, step: Step) -> int | None:
        """Record a contraction, and return its number; None for one of constants."""
        factors = operands_of(step)
        if not any(self._carry(index).depends for index in factors):
            # Of weights alone: they act through a function of them from here on.
            return None
        weights = next((n for n, index in enumerate(factors) if index in self._chains), None)
        if weights is None:
            self._refuse_derived(step, factors)
        number = len(self.uses)
        others = [index for n, index in enumerate(factors) if n != weights]
        name, chain = self._chains[factors[weights]] if weights is not None else (None, ())
        key = (name, step.module, step.site)
        self._calls[key] = call = self._calls.get(key, -1) + 1
        shown = self._site_name(key, name or f"{step.module or 'network'}.{step.name}")
        rows = self._rows(step, factors, weights)
        shape = self._shapes.get(name or "", torch.Size())
        self.uses.append(
            Use(
                shown,
                name,
                step,
                0 if weights is None else weights,
                chain,
                rows,
                call,
                shape,
                weights is not None and self._is_batched(step, factors[weights], chain, shape),
                self._real(step),
                _made(self.tape, step),
            )
        )
        sources: list[str] = []
        between: tuple[str, ...] = ()
        for index in others:
            found = self._sources(index)
            sources += found
            between = between or next(iter(found.values()), ())
            if GATE not in between and any(GATE in way for way in found.values()):
                between = (*between, GATE)
        projection = self._projection(step, shown, name, tuple(dict.fromkeys(sources)), between, rows, factors, weights)
        self.edges.append(_Edge(projection, tuple(self._made.get(source) for source in projection.sources)))
        return number

    def _refuse_derived(self, step: Step, factors: list[int]) -> None:
        for index in factors:
            derived = self._carry(index).parameters & set(self.names)
            if derived and not self._carry(index).depends:
                raise InputError(
                    f"{min(derived)} acts through a function of it in {step.module or 'the network'}: what acts is not "
                    "what is stored; replace the layer by a plain one, or exclude it"
                )

    def _site_name(self, key: Any, wanted: str) -> str:
        if key not in self._sites:
            taken = set(self._sites.values())
            number = next(n for n in range(len(taken) + 2) if (wanted if not n else f"{wanted}#{n + 1}") not in taken)
            self._sites[key] = wanted if not number else f"{wanted}#{number + 1}"
        return self._sites[key]

    def _rows(self, step: Step, factors: list[int], weights: int | None) -> Rows | None:
        which = 0 if weights is None else 1 - weights if weights < 2 else 0
        shadow = self._shadows[factors[which]]
        if "convolution" in step.name:
            rows = self.stamps.reduce(shadow, range(1, shadow[0].dim()), keep=False)
        else:
            rows = self.stamps.reduce(shadow, [-1 if which == 0 or step.name == "linear" else -2], keep=False)
        return rows_from(rows, self.stamps.samples)

    def _is_batched(self, step: Step, factor: int, chain: tuple[Step, ...], shape: torch.Size) -> bool:
        """Return whether a factor holds several matrices: torch also repeats one, depending on strides."""
        if len(self.tape.shapes[factor]) != 3 or not chain:
            return False
        places = through(chain, step, torch.arange(shape.numel(), device="cpu").view(shape))
        return bool((places != places[:1]).any())

    def _real(self, step: Step) -> tuple[Tensor, ...]:
        if "convolution" not in step.name:
            return ()
        known = torch.stack(self._shadows[operands_of(step)[0]]).any(0).flatten(0, 1).any(0)
        axes = range(known.dim())
        found = tuple(known.any(tuple(a for a in axes if a != axis)) if known.dim() > 1 else known for axis in axes)
        return tuple(line if bool(line.any()) else torch.ones_like(line) for line in found)

    def _sources(self, index: int) -> dict[str, tuple[str, ...]]:
        """Return the populations whose values a tensor holds; what no neuron has read becomes a virtual one."""
        carried = self._carry(index)
        found = dict(carried.sources)
        if carried.drives:
            name = self._virtual(carried, index)
            found[name] = ()
            # From here on the tensor holds the values of that population.
            self._carried[self._root.get(index, index)] = _Carried(dict(found), {}, carried.parameters)
        return found

    def _virtual(self, carried: _Carried, index: int) -> str:
        key = ("virtual", frozenset(self.edges[number].projection.name for number in carried.drives))
        first = self.edges[min(carried.drives)].projection
        new = key not in self._sites
        name = self._site_name(key, f"{first.name.removesuffix('.weight')}:out")
        if new:
            self.populations[name] = Population(
                name=name, kind="virtual", shape=first.outputs, module="sum", graded=True
            )
        self._arrive(_Carried(drives=carried.drives), name, when=None)
        return name

    def _projection(
        self,
        step: Step,
        shown: str,
        name: str | None,
        sources: tuple[str, ...],
        between: tuple[str, ...],
        rows: Rows | None,
        factors: list[int],
        weights: int | None,
    ) -> Projection:
        which = 0 if weights is None else (1 - weights if weights < 2 else 0)
        given, shape = self.tape.shapes[factors[which]], _made(self.tape, step)
        steps, static, positions = 1, True, 1
        if rows is not None:
            times = rows.steps.flatten()
            static = bool((times < 0).all())
            steps = int(times.unique().numel())
            positions = max(1, rows.steps.numel() // steps)
        operation: Operation = "product" if name is None else "linear"
        extra: dict[str, Any] = {}
        if "convolution" in step.name:
            named = arguments_of(step.operator, step.args, step.kwargs)  # type: ignore[arg-type]
            operation = "transposed" if named.get("transposed") else "convolution"
            inputs, outputs, positions = tuple(given[1:]), tuple(shape[1:]), 1
            extra = {key: tuple(named[key]) for key in ("stride", "padding", "dilation")} | {"groups": named["groups"]}
        elif step.name == "_trilinear":
            operation = "bilinear"
            inputs, outputs = (given[-1],), (shape[-1],)
        else:
            axis = -1 if which == 0 or step.name == "linear" else -2
            outputs_axis = -1 if which == 0 or step.name == "linear" else -2
            inputs, outputs = (given[axis],), (shape[outputs_axis],)
            if positions > 1:
                inputs, outputs = (*inputs, positions), (*outputs, positions)
        return Projection(
            name=shown,
            parameter=name,
            operation=operation,
            sources=sources,
            delays=(0,) * len(sources),
            target="",
            inputs=inputs,
            outputs=outputs,
            positions=positions,
            steps=steps,
            static=static,
            between=between,
            module=step.module,
            **extra,
        )

    # --- Populations

    def _neuron(self, step: Step) -> None:
        self._unit(step, "neuron")

    def _unit(self, step: Step, kind: Any) -> None:
        """Record a population that a step makes, and what leads to it."""
        made = next((index for index in step.outputs if index is not None), None)
        if made is None:
            self._pass(step)
            return
        carried = _Carried()
        for index in step.inputs():
            carried.add(self._carry(index))
        key = (kind, step.module, step.site)
        new = key not in self._sites
        name = self._site_name(key, step.module or step.name)
        self._calls[key] = call = self._calls.get(key, 0) + 1
        if new:
            graded = kind == "activation" or not _is_binary(step)
            shape = self._plain_shape(step)
            self.populations[name] = Population(name=name, kind=kind, shape=shape, module=step.name, graded=graded)
        self.populations[name] = replace(self.populations[name], calls=call)
        multi = step.kind == "neuron" and is_multi(step)
        times = [int(latest(self._shadows[index]).max()) for index in step.inputs() if self.tape.shapes[index].numel()]
        self._made[name] = when = None if multi else max(times, default=0) or call
        self._arrive(carried, name, when)
        for index in step.outputs:
            if index is not None:
                self._carried[self._root.get(index, index) if index in step.mutated else index] = _Carried({name: ()})
                self.units[index] = name

    def _plain_shape(self, step: Step) -> tuple[int, ...]:
        """Return the shape of what a step reads, without samples and time steps."""
        index = step.inputs()[0]
        shadow = self._shadows[index]
        if step.kind == "neuron" and is_multi(step):
            shadow = tuple(part[-1] for part in shadow)  # the last step: a delay leaves the first ones empty
        return plain_shape(shadow, self.stamps.samples)

    def _arrive(self, carried: _Carried, target: str, when: int | None) -> None:
        """Let uses lead to a population that is computed at a time step; None for all steps at once."""
        for number, way in carried.drives.items():
            edge = self.edges[number]
            delays = tuple(0 if when is None or made is None else max(0, when - made) for made in edge.made)
            if target not in edge.targets:
                edge.targets.append(target)
                between = (*edge.projection.between, *(name for name in way if name not in edge.projection.between))
                edge.projection = replace(edge.projection, delays=delays, between=between)
        for source, way in carried.sources.items():
            if source != target and (source, target) not in self.skips:
                shape = self.populations[source].shape
                self.skips[source, target] = Projection(
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

    # --- Result

    def graph(self) -> Graph:
        """Return the graph, when all steps have been followed."""
        for number, index in enumerate(self.tape.outputs):
            carried = self._carry(index)
            self.outputs += [name for name in carried.sources if name not in self.outputs]
            if carried.drives:
                name = "output" if len(self.tape.outputs) == 1 else f"output{number}"
                first = self.edges[min(carried.drives)].projection
                self.populations[name] = Population(name=name, kind="output", shape=first.outputs, graded=True)
                self._arrive(carried, name, when=None)
                self.outputs.append(name)
        used = {use.parameter for use in self.uses}
        unused = tuple(name for name in self.names if name not in used)
        values = any(
            step.kind == "value" and any(self._carry(i).depends for i in step.inputs()) for step in self.tape.steps
        )
        notes = (
            ["the network decides on values: the graph holds for the branch that this example takes"] if values else []
        )
        return Graph(
            network=type(self.network).__name__,
            layout=self.layout.names(),
            timesteps=self.steps,
            populations=dict(self.populations),
            projections=(*_projections(self.edges), *self.skips.values()),
            outputs=tuple(self.outputs),
            unused=unused,
            opaque=tuple(self.opaque),
            notes=tuple(notes),
        )


def _projections(edges: Iterable[_Edge]) -> list[Projection]:
    """Return one projection for each place in the program and each target."""
    found: dict[tuple[str, str], Projection] = {}
    for edge in edges:
        for target in edge.targets or [""]:
            key = (edge.projection.name, target)
            mine = replace(edge.projection, target=target)
            if key in found:
                known = found[key]
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


def through(chain: Sequence[Step], end: Step, parameter: Tensor) -> Tensor:
    """Return what the views of a chain make of a tensor of the parameter's shape, for the step that they end at."""
    for step, after in pairwise((*chain, end)):
        if step.kind != "move" or step.operator is None:
            continue  # a constant factor or a type: the same elements at the same places
        made = step.operator(*_with(parameter, step.args), **_with(parameter, dict(step.kwargs)))
        if not isinstance(made, Tensor):  # parts, of which one goes on
            made = next(part for part, index in zip(made, step.outputs, strict=True) if index in after.inputs())
        parameter = made
    return parameter


def _with(tensor: Tensor, arguments: Any) -> Any:
    """Return arguments with a tensor in place of the reference in them."""
    return tree_map(lambda leaf: tensor if isinstance(leaf, Ref) else leaf, arguments)


def _made(tape: Tape, step: Step) -> torch.Size:
    return tape.shapes[next(index for index in step.outputs if index is not None)]


def _is_binary(step: Step) -> bool:
    return step.kind == "comparison" or step.kind == "pointwise" or not getattr(step.neuron, "graded", False)


def rows_from(shadow: Shadow, samples: int) -> Rows | None:
    """Return which row belongs to which sample and time step; None if samples mix.

    Args:
        shadow: of the rows, in any shape.
        samples: their number.
    """
    sample, times = (part.flatten() for part in stamp_of(shadow, samples))
    if bool((sample == -2).any()):
        return None
    if bool((sample < 0).all()):
        return Rows(len(sample), times.view(1, -1), False)
    count = len(sample)
    for inner in (n for n in range(1, count // samples + 1) if count % (n * samples) == 0):
        expected = torch.arange(count, device="cpu") // inner % samples
        if bool(((sample == expected) | (sample < 0)).all()):
            by_sample = times.view(-1, samples, inner)
            return Rows(inner, by_sample.amax(1), True)
    return None


def plain_shape(shadow: Shadow, samples: int) -> tuple[int, ...]:
    """Return the shape of a tensor without the samples and time steps in it."""
    sample, times = stamp_of(shadow, samples)
    shape = []
    for axis in range(sample.dim()):
        along = [0] * sample.dim()
        along[axis] = slice(None)  # type: ignore[call-overload]
        fibre, steps = sample[tuple(along)], times[tuple(along)]
        size = len(fibre)
        for number in (len(fibre.unique()), len(steps.unique())):
            if number > 1 and size % number == 0:
                size //= number
        batch_or_time = size == 1 and len(fibre) > 1
        if not batch_or_time:
            shape.append(size)
    return tuple(shape) or (1,)
