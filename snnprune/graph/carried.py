"""What tensors carry: values of populations, drives of projections, and weights."""

from dataclasses import dataclass, field

from .operators import names_of, plain_name
from .tape import Step, Tape

# Operators that are no more than a change of shape or type, not named between populations.
_PLAIN = names_of("add sub clone copy _to_copy detach alias lift_fresh cat stack contiguous _unsafe_view")
# Functions of each weight by itself that leave 0 at 0.
_KEEPS_ZEROS = names_of("div _to_copy clone detach square pow abs neg relu sign tanh sqrt where masked_fill")
# A product of two values that both depend on the input, between populations.
GATE = "mul of two values"


@dataclass
class Carried:
    """What a tensor carries: populations and uses whose values are in it, each with the operators on the way."""

    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)
    drives: dict[int, tuple[str, ...]] = field(default_factory=dict)
    parameters: frozenset[str] = frozenset()

    def through(self, name: str | None) -> "Carried":
        def longer(way: tuple[str, ...]) -> tuple[str, ...]:
            return way if name is None or name in way else (*way, name)

        return Carried(
            {key: longer(way) for key, way in self.sources.items()},
            {key: longer(way) for key, way in self.drives.items()},
            self.parameters,
        )

    def add(self, other: "Carried") -> None:
        for key, way in other.sources.items():
            self.sources.setdefault(key, way)
        for key, way in other.drives.items():
            self.drives.setdefault(key, way)
        self.parameters |= other.parameters

    @property
    def depends(self) -> bool:
        return bool(self.sources or self.drives)


class Cargo:
    """What each tensor of a tape carries; tensors that share memory carry the same.

    Attributes:
        chains: number of a tensor that holds weights as they are -> their parameter, and the steps that lead from it.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.chains: dict[int, tuple[str, tuple[Step, ...]]] = {
            index: (name, ()) for index, name in tape.parameters.items()
        }
        self._known = {index: Carried(parameters=frozenset({name})) for index, name in tape.parameters.items()}
        self._roots: dict[int, int] = {}

    def of(self, index: int) -> Carried:
        """Return what a tensor carries."""
        return self._known.setdefault(self._roots.get(index, index), Carried())

    def together(self, step: Step) -> Carried:
        """Return what all inputs of a step carry."""
        found = Carried()
        for index in step.inputs():
            found.add(self.of(index))
        return found

    def replace(self, index: int, carried: Carried, *, alone: bool = False) -> None:
        """Let a tensor, and those that share its memory unless it is `alone`, carry this and nothing else."""
        self._known[index if alone else self._roots.get(index, index)] = carried

    def hand_on(self, step: Step) -> Carried:
        """Let the outputs of a step carry what its inputs do; return that."""
        carried = self.together(step)
        view = step.operator is not None and step.operator.is_view
        named = None if view or step.name in _PLAIN else plain_name(step.name)
        if step.kind == "product" and sum(self.of(index).depends for index in step.inputs()) > 1:
            named = GATE
        self.assign(step, carried.through(named if carried.depends else None))
        self._follow(step)
        return carried

    def assign(self, step: Step, carried: Carried) -> None:
        """Let the outputs of a step carry this; what is changed in place carries it as well."""
        view = step.operator is not None and step.operator.is_view and len(step.inputs()) == 1
        for index in step.outputs:
            if index is None:
                continue
            if index in step.mutated or view:
                root = self._roots.get(step.inputs()[0], step.inputs()[0])
                self._roots.setdefault(index, root)
            if index in step.mutated and not self._is_whole(index):
                self.of(index).add(carried)
            elif not view:
                self._known[self._roots.get(index, index)] = carried
        if step.mutated and not any(index is not None for index in step.outputs):
            self.of(step.mutated[0]).add(carried)

    def _is_whole(self, index: int) -> bool:
        return self.tape.shapes[index].numel() == self.tape.shapes[self._roots.get(index, index)].numel()

    def _follow(self, step: Step) -> None:
        """Follow a tensor of weights through moves, and through factors that are constant."""
        inputs = step.inputs()
        known = [index for index in inputs if index in self.chains]
        if len(known) != 1:
            return
        others = [index for index in inputs if index != known[0]]
        constant = all(not self.of(index).parameters and not self.of(index).depends for index in others)
        scaled = step.kind == "product" or step.name in _KEEPS_ZEROS
        if (step.kind == "move" or scaled) and constant:
            name, chain = self.chains[known[0]]
            for index in step.outputs:
                if index is not None and index not in self.tape.parameters:
                    self.chains[index] = (name, (*chain, step))
