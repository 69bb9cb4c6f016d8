"""The arithmetic of gates: weights that act as w * sigmoid(beta * a) * sigmoid(beta * b). All in place.

A gate is a tuple (a, mean, square): its value, and what Adam remembers of its gradients. Each function takes lists with
one entry for each tensor of synapses, so that one compiled call does them all; numbers stand in lists.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...compiling import compiled
from ...criteria import Batches
from ...errors import InputError
from ...selection import keep_share
from ...synapses import Exclude, entries_of, find_synapses, geometry
from ..base import Phase, Trained
from ..checks import check_at_least
from ..registry import register
from ..search import Search

# Share of the search after which no more gates are shut than are opened; chosen on a validation split of MNIST, and on
# short trainings on digits (docs/methods.md).
RAMP = 0.65
# What an open gate costs where no price is given, for the weight with most connections: on the paper's network, whose
# first weights have 1024, that is the paper's price of 1e-11 a connection.
DEAREST = 1e-8
# How steep the gates are at first and at last.
STEEPNESS = (5.0, 1000.0)
# Of the gates' own Adam steps, which take the learning rate of the weights.
BETAS = (0.9, 0.999)
EPSILON = 1e-8

Number = float | Tensor


@register("upr")
class UPR(Search):
    r"""Unstructured pruning of weights and neurons under a price for what they cost.

    Shi, Ding, Hao, Yu: "Towards Energy Efficient Spiking Neural Networks: An Unstructured Pruning Framework", ICLR
    2024. While the connectivity is searched for, a weight acts as :math:`w\,\sigma(\beta a)\,\sigma(\beta b)`, with a
    gate a of its own and a gate b of the neuron that it comes from; :math:`\beta` grows from 5 to 1000, so that gates
    become 0 or 1. Weights and gates are learned together, the gates also under

    .. math:: \lambda \Big[ \sum_w c_w\, \sigma(\beta a_w) + \sum_n c_n\, \sigma(\beta b_n) \Big]

    with :math:`c_w` the connections that share a weight, and :math:`c_n` the connections that leave a neuron: the
    operations that its spike costs. Then gates above 0 stay, the others go, and the weights train on. Neurons of a
    convolution are its channels here; the inputs of the first layer are no neurons. A layer has its own gates for the
    neurons that it hears, so that a neuron with two listeners has two; a grouped convolution has none. Gates begin half
    open, and weights are scaled up, so that the network begins as it was. Gates learn by an Adam of their own with the
    weights' learning rate, whatever the optimizer is; its weight decay acts on the weights behind the gates.

    Two ways to say how sparse the network shall be:

    - `price`: the published way; the sparsity is an outcome.
    - `density`, ours: every 100 steps all gates are shifted alike, so that exactly as many synapses have open gates as
      a cubic schedule asks for, which is at `density` after 65 % of the search. What gates learn is theirs;
      where the line between open and shut lies is given. (A price that is raised and lowered until the number is right
      comes too late in a short training: gates that shut have to be paid back one by one.)

    Memory during the search: four tensors the size of the weights.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        steps: optimizer steps of the whole training.
        price: lambda, 0 or more; with `density` it decides only who goes first, the dearer ones. None: 1e-8 by the
            connections of the weight that has most, which on the paper's CIFAR-10 network is the paper's 1e-11.
        density: share of the synapses to end with, in (0, 1]; None: what the price leaves.
        settle: share of `steps` after which the gates are fixed, in (0, 1].
        batches: inputs, with or without labels; needed for convolutions, whose connections must be counted.
        exclude: synapses to leave dense.

    Raises:
        InputError: a value outside its range, a convolution without batches, or as `Method`.
    """

    INSTEAD_OF_DENSITY = ("price",)
    FREE_KINDS = ("neuron", "neuron_mean", "neuron_square")

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        steps: int,
        price: float | None = None,
        density: float | None = None,
        settle: float = 0.8,
        batches: Batches = (),
        exclude: Exclude = (),
    ) -> None:
        first, exclude = next(iter(batches), None), entries_of(exclude)
        example = first if first is None or isinstance(first, Tensor) else first[0]
        shapes = geometry(network, example, exclude=exclude)
        if unknown := [name for name, shape in shapes.items() if shape.uses is None]:
            raise InputError(f"the connections of {', '.join(unknown)} are not known: pass batches=[inputs, ...]")
        if price is None:  # each weight of a linear layer is one connection
            shared = [int(shape.uses.max()) for shape in shapes.values() if shape.kernel and shape.uses is not None]
            price = DEAREST / max(shared, default=1)
        check_at_least(0, price=price)
        super().__init__(network, optimizer, density=density, steps=steps, settle=settle, ramp=RAMP, exclude=exclude)
        uses = {name: torch.as_tensor(shape.uses).to(self.parameters[name]) for name, shape in shapes.items()}
        # Along which axis of a weight its presynaptic neurons are counted, where those are neurons with a gate.
        inputs = next(iter(find_synapses(network)))
        self.gated = {n: 1 - shape.output_axis for n, shape in shapes.items() if n != inputs and shape.groups == 1}
        # What an open gate of a synapse costs, and one of a neuron: the connections behind it.
        self.costs = {
            name: (price * count, *self._for_neurons(name, price * count.expand_as(self.parameters[name])))
            for name, count in uses.items()
        }
        self.price = price
        self._learn, self._act = learn, act

    def steepness_at(self, step: int) -> float:
        """Beta after so many steps: it grows by the same factor at each."""
        first, last = STEEPNESS
        assert self.settled_at is not None
        return first * (last / first) ** min(step / self.settled_at, 1.0)

    # --- One step

    def _start(self) -> None:
        # In float32 at least: in fewer digits small steps of gates, and 0.999 of a mean, change nothing.
        gates = {kind: self._full(0, precise=True) for kind in ("gate", "gate_mean", "gate_square")}
        neurons = {
            kind: {name: gates["gate"][name].new_zeros(self._neurons_of(name)) for name in self.gated}
            for kind in self.FREE_KINDS
        }
        self.state = {
            "weight": {name: p.detach() * self._half_open(name) for name, p in self.parameters.items()},
            **gates,
            **neurons,
        }

    def _before(self, trained: Sequence[Trained]) -> None:
        if self.phase is Phase.FIXED:
            return super()._before(trained)
        for entry in trained:
            entry.parameter.data.mul_(entry.gradient)  # weights are written last: until then their memory is free
        gains = {entry.name: entry.parameter.data for entry in trained}
        count = self.steps_done + 1
        self._learn(
            [entry.gradient for entry in trained],
            list(gains.values()),
            [self._gates(name, "gate") for name in gains],
            [self._gates(name, "neuron") + self._for_neurons(name, gain) for name, gain in gains.items()],
            [self.costs[entry.name] for entry in trained],
            [entry.group["lr"] for entry in trained],
            [self.steepness_at(self.steps_done), *(1 - beta**count for beta in BETAS)],
        )
        return self._swap_in(trained, [self.state["weight"][entry.name] for entry in trained])

    def _after(self, trained: Sequence[Trained]) -> None:
        if self.phase is Phase.FIXED:
            return super()._after(trained)
        return self._show(
            [entry.name for entry in trained], self._restore_weights(trained), self.steepness_at(self.steps_done + 1)
        )

    def _undo_before(self, trained: Sequence[Trained]) -> None:
        if (
            self.phase is not Phase.FIXED
        ):  # the weights' memory may hold gains, whether the parameters point elsewhere or not
            weights = self._restore_weights(trained) or [entry.parameter.data for entry in trained]
            self._show([entry.name for entry in trained], weights, self.steepness_at(self.steps_done))

    def _show(self, names: Sequence[str], weights: Sequence[Tensor], steepness: float) -> None:
        """Write the weights as they act."""
        behind, gates = [self.state["weight"][name] for name in names], [self._gates(name, "gate") for name in names]
        self._act(behind, gates, [self._gates(name, "neuron") for name in names], weights, [steepness])

    def _gates(self, name: str, kind: str) -> tuple[Tensor, ...]:
        """Gates with their Adam's means of gradients and of squared ones; nothing where there are none."""
        return tuple(self.state[f"{kind}{part}"][name] for part in ("", "_mean", "_square") if name in self.state[kind])

    def _half_open(self, name: str) -> float:
        """What a weight is multiplied with, so that it acts as it was while its gates are half open."""
        return 4.0 if name in self.gated else 2.0

    def _neurons_of(self, name: str) -> list[int]:
        """Shape of a number for each presynaptic neuron, which broadcasts over the weight."""
        return [size if axis == self.gated[name] else 1 for axis, size in enumerate(self.parameters[name].shape)]

    def _for_neurons(self, name: str, values: Tensor) -> tuple[Tensor, ...]:
        """What stands at the synapses, summed up for each presynaptic neuron; nothing where those have no gates."""
        return (values.sum_to_size(self._neurons_of(name)),) if name in self.gated else ()

    def compile(self) -> None:
        """Compile the arithmetic of a step: two passes over memory instead of thirty."""
        self._learn, self._act = compiled(learn), compiled(act)

    # --- The end of the search

    def _openings(self) -> dict[str, Tensor]:
        """How far open a synapse is: its gate's value or that of its neuron, whichever is smaller; shut at 0."""
        return {
            name: torch.minimum(gate, self.state["neuron"][name]) if name in self.gated else gate.clone()
            for name, gate in self.state["gate"].items()
        }

    def _select(self, density: float) -> None:
        openings = self._openings()
        alive = keep_share(openings, density)
        shut = [opening.masked_fill_(alive[name], -torch.inf).amax() for name, opening in openings.items()]
        line = torch.stack(shut).amax().nan_to_num(neginf=0.0)  # nobody is to be shut: nothing moves
        for kind in ("gate", "neuron"):
            for gate in self.state[kind].values():
                gate.sub_(line)
        moving = {name: parameter.data for name, parameter in self.parameters.items() if parameter.requires_grad}
        self._show(list(moving), list(moving.values()), self.steepness_at(self.steps_done))

    def _end_search(self) -> None:
        openings = self._openings()
        if self.target_density is None:
            alive = {name: opening > 0 for name, opening in openings.items()}
        else:
            alive = keep_share(openings, self.target_density)
        for name, parameter in self.parameters.items():
            # What rests has its weights, which nothing learned beside the gates.
            scale = 1.0 if parameter.requires_grad else 1 / self._half_open(name)
            torch.mul(self.state["weight"][name], scale, out=parameter.data)
        self._fix(alive)


# --- Gates


def learn(
    gradient: Sequence[Tensor],
    gain: Sequence[Tensor],
    gates: Sequence[tuple[Tensor, ...]],
    neurons: Sequence[tuple[Tensor, ...]],
    costs: Sequence[tuple[Tensor, ...]],
    rate: Sequence[Number],
    scales: Sequence[Number],
) -> None:
    """Move the gates by one step of Adam, and leave in `gradient` that of the weights behind them.

    With v the weight as it acts, dL/da = beta (1 - sigmoid(beta a)) v dL/dv, and dL/db is the sum of the same over the
    synapses of b; what the gates cost has the slope beta sigmoid (1 - sigmoid) as usual.

    Args:
        gradient: of the loss by the weights as they act.
        gain: the same times the weights as they act.
        gates: of the synapses; tensors of the weights' shapes.
        neurons: gates of the neurons that synapses come from, in shapes that broadcast over the weights, and the sum of
            the gain over the synapses of each; or ().
        costs: what an open gate costs; of synapses, in shapes that broadcast over the weights, and of neurons.
        rate: learning rates.
        scales: steepness beta; and 1 - beta1^t, 1 - beta2^t of Adam's bias corrections.
    """
    steepness, first, second = scales
    for g, gained, own, shared, cost, lr in zip(gradient, gain, gates, neurons, costs, rate, strict=True):
        synapse = torch.sigmoid(steepness * own[0])
        g.mul_(synapse)
        _adam(own, (gained + cost[0] * synapse) * (1 - synapse) * steepness, lr, first, second)
        if shared:
            *gate, outgoing = shared
            neuron = torch.sigmoid(steepness * gate[0])
            g.mul_(neuron)
            _adam(gate, (outgoing + cost[1] * neuron) * (1 - neuron) * steepness, lr, first, second)


def act(
    weight: Sequence[Tensor],
    gates: Sequence[tuple[Tensor, ...]],
    neurons: Sequence[tuple[Tensor, ...]],
    out: Sequence[Tensor],
    scales: Sequence[Number],
) -> None:
    """out = weight as it acts through its gates; arguments as above, `scales` being the steepness."""
    (steepness,) = scales
    for w, own, shared, acting in zip(weight, gates, neurons, out, strict=True):
        torch.mul(w, torch.sigmoid(steepness * own[0]), out=acting)
        if shared:
            acting.mul_(torch.sigmoid(steepness * shared[0]))


def _adam(gate: Sequence[Tensor], gradient: Tensor, rate: Number, first: Number, second: Number) -> None:
    value, mean, square = gate
    mean.lerp_(gradient, 1 - BETAS[0])
    square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
    value -= mean / (square / second).sqrt_().add_(EPSILON) * (rate / first)
