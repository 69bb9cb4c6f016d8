"""UPR: gates on synapses and on neurons, learned under a price for synaptic operations."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..criteria import Batches
from ..errors import InputError
from ..schedules import Polynomial
from ..selection import keep_largest
from ..synapses import Exclude, geometry
from .base import Moved
from .registry import register
from .settling import Settling

# Of the gates' own Adam steps, which take the learning rate of the weights.
BETAS = (0.9, 0.999)
EPSILON = 1e-8
# How steep the gates are at first and at last.
STEEPNESS = (5.0, 1000.0)


@register("upr")
class UPR(Settling):
    r"""Unstructured pruning of weights and neurons under a price for what they cost.

    Shi, Ding, Hao, Yu: "Towards Energy Efficient Spiking Neural Networks: An Unstructured Pruning Framework", ICLR
    2024. While the connectivity is searched for, a weight acts as :math:`w\,\sigma(\beta a)\,\sigma(\beta b)`, with a
    gate a of its own and a gate b of the neuron that it comes from; :math:`\beta` grows from 5 to 1000, so that gates
    become 0 or 1. Weights and gates are learned together, the gates also under

    .. math:: \lambda \Big[ \sum_w c_w\, \sigma(\beta a_w) + \sum_n c_n\, \sigma(\beta b_n) \Big]

    with :math:`c_w` the connections that share a weight, and :math:`c_n` the connections that leave a neuron: the
    operations that its spike costs. Then gates above 0 stay, the others go, and the weights train on. Neurons of a
    convolution are its channels here; the inputs of the first layer are no neurons. Gates begin half open, and weights
    are scaled up, so that the network begins as it was.

    Two ways to say how sparse the network shall be:

    - `price`: the published way; the sparsity is an outcome.
    - `density`, ours: in the first half of the search the price doubles every 100 steps while more gates are open than
      a cubic schedule asks for, and halves while fewer are. At the end of the search the widest open gates stay,
      exactly so many.

    Memory during the search: four tensors the size of the weights.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        steps: optimizer steps of the whole training.
        price: lambda, 0 or more; with `density` above 0, and where the loop starts.
        density: share of the synapses to end with, in (0, 1]; None: what the price leaves.
        settle: share of `steps` after which the gates are fixed, in (0, 1].
        batches: inputs, with or without labels; needed for convolutions, whose connections must be counted.
        exclude: synapses to leave dense.

    Raises:
        InputError: a value outside its range, a convolution without batches, or as `Rewiring`.
    """

    FREE = ("neuron", "neuron_mean", "neuron_square")

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        steps: int,
        price: float = 1e-8,
        density: float | None = None,
        settle: float = 0.8,
        batches: Batches = (),
        exclude: Exclude = (),
    ) -> None:
        if not (price > 0 or (price == 0 and density is None)):
            raise InputError(f"price must be 0 or more, and with a density above 0; found {price}")
        if density is not None and not 0 < density <= 1:
            raise InputError(f"density must be in (0, 1], found {density}")
        if not 0 < settle <= 1:
            raise InputError(f"settle must be in (0, 1], found {settle}")
        super().__init__(network, optimizer, exclude=exclude)
        first = next(iter(batches), None)
        example = first if first is None or isinstance(first, Tensor) else first[0]
        shapes = geometry(network, example, exclude=exclude)
        if unknown := [name for name, shape in shapes.items() if shape.uses is None]:
            raise InputError(f"the connections of {', '.join(unknown)} are not known: pass batches=[inputs, ...]")
        self.uses = {name: torch.as_tensor(shape.uses).to(self.parameters[name]) for name, shape in shapes.items()}
        # Along which axis of a weight its presynaptic neurons are counted, where those are neurons with a gate.
        self.gated = {name: 1 - shape.output_axis for name, shape in list(shapes.items())[1:] if shape.groups == 1}
        self.price, self.density, self.total_steps = price, density, steps
        self.settled_at = max(1, round(settle * steps))
        # The price must find its height while gates still move: in the second half of the search they are too steep.
        half = max(1, self.settled_at // 2)
        every = min(100, max(1, half // 50))
        self.schedule = None if density is None else Polynomial(density=density, end=half, every=every)

    @property
    def _settles(self) -> bool:
        return True

    def steepness_at(self, step: int) -> float:
        """Beta after so many steps: it grows by the same factor at each."""
        first, last = STEEPNESS
        return first * (last / first) ** min(step / self.settled_at, 1.0)

    # --- One step

    def _start(self) -> None:
        def zeros() -> dict[str, Tensor]:
            return {name: torch.zeros_like(p, requires_grad=False) for name, p in self.parameters.items()}

        def neurons() -> dict[str, Tensor]:
            return {name: self._per_neuron(name, self.parameters[name].detach()) * 0 for name in self.gated}

        halves = {name: 4.0 if name in self.gated else 2.0 for name in self.parameters}
        self.state = {
            "weight": {name: p.detach() * halves[name] for name, p in self.parameters.items()},
            **{kind: zeros() for kind in ("gate", "gate_mean", "gate_square")},
            **{kind: neurons() for kind in self.FREE},
        }
        self.numbers["price"] = torch.tensor(self.price, device=next(iter(self.uses.values())).device)

    def _before(self, moved: Sequence[Moved]) -> None:
        if self.frozen:
            return super()._before(moved)
        for entry in moved:
            self._learn_gates(entry)
        return self._point_at(moved, [self.state["weight"][entry.name] for entry in moved])

    def _after(self, moved: Sequence[Moved]) -> None:
        if self.frozen:
            return super()._after(moved)
        for entry, weight in zip(moved, self._point_back(moved), strict=True):
            own, neuron = self._open(entry.name, self.steps + 1)
            torch.mul(self.state["weight"][entry.name], own, out=weight).mul_(neuron)
        return None

    def _learn_gates(self, entry: Moved) -> None:
        """Move the gates, and leave the weights' own gradient."""
        name, gradient, steepness = entry.name, entry.parameter.grad, self.steepness_at(self.steps)
        assert gradient is not None
        own, neuron = self._open(name, self.steps)
        gain = gradient * self.state["weight"][name]
        slope = steepness * own * (1 - own)
        cost = self.numbers["price"] * self.uses[name]
        self._move("gate", name, (gain * neuron + cost) * slope, entry.group["lr"])
        if name in self.gated:
            bend = steepness * neuron * (1 - neuron)
            outgoing = self._per_neuron(name, cost.expand_as(own))
            self._move("neuron", name, (self._per_neuron(name, gain * own) + outgoing) * bend, entry.group["lr"])
        gradient.mul_(own).mul_(neuron)

    def _move(self, kind: str, name: str, gradient: Tensor, rate: float | Tensor) -> None:
        """One step of Adam."""
        mean, square = self.state[f"{kind}_mean"][name], self.state[f"{kind}_square"][name]
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        count = self.steps + 1
        length = (square / (1 - BETAS[1] ** count)).sqrt_().add_(EPSILON)
        self.state[kind][name] -= mean / length * (rate / (1 - BETAS[0] ** count))

    def _open(self, name: str, step: int) -> tuple[Tensor, Tensor]:
        """How far the gates of the synapses, and of the neurons that they come from, are open."""
        steepness = self.steepness_at(step)
        own = torch.sigmoid(steepness * self.state["gate"][name])
        return own, torch.sigmoid(steepness * self.state["neuron"][name]) if name in self.gated else torch.ones_like(
            own
        )

    def _per_neuron(self, name: str, values: Tensor) -> Tensor:
        """The sum over the synapses of each presynaptic neuron, in a shape that broadcasts over the weight."""
        others = [axis for axis in range(values.dim()) if axis != self.gated[name]]
        return values.sum(others, keepdim=True)

    # --- The end of the search

    def _update(self) -> None:
        if self.frozen:
            return
        if self.steps >= self.settled_at:
            self._freeze()
        elif self.schedule is not None and self.schedule.updates_at(self.steps):
            self._haggle(self.schedule.density_at(self.steps))

    def _haggle(self, density: float) -> None:
        """Raise the price while more gates are open than wanted, lower it while fewer are."""
        total = sum(parameter.numel() for parameter in self.parameters.values())
        alive = torch.stack([self._alive(name).sum() for name in self.parameters]).sum()
        self.numbers["price"] *= torch.where(alive > density * total, 2.0, 0.5)

    def _freeze(self) -> None:
        alive = {name: self._alive(name) for name in self.parameters}
        if self.density is not None:
            # Open gates first, by their width; then the others, the least shut first.
            width = {
                name: torch.where(alive[name], 1 + gate.sigmoid(), gate.sigmoid())
                for name, gate in self.state["gate"].items()
            }
            alive = keep_largest(width, max(1, round(self.density * sum(mask.numel() for mask in alive.values()))))
        for name, parameter in self.parameters.items():
            parameter.data.copy_(self.state["weight"][name])
        self._settle(alive)

    def _alive(self, name: str) -> Tensor:
        """Whether a synapse's gate is open, and that of the neuron that it comes from."""
        own = self.state["gate"][name] > 0
        return own & (self.state["neuron"][name] > 0) if name in self.gated else own
