"""UPR: synapses and neurons have trained gates, whose openness costs the connections behind them."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...compiling import compiled
from ...criteria import Batches
from ...errors import InputError
from ...graph import geometry
from ...options import NonNegative, Share, Steps
from ...probe import each_batch, inputs_of
from ...selection import keep_share
from ...shapes import check_shapes, shapes_of
from ...synapses import Exclude, Include, entries_of, places
from ..base import Phase, Trained
from ..registry import register
from ..search import Search

# Share of the search after which the density is constant; chosen on a validation split of MNIST, and on short trainings
# on digits (docs/methods.md).
RAMP = 0.65
# Default cost of an open gate of the weight with the most connections. On the paper's network, whose first weights have
# 1024 connections, it is the paper's price of 1e-11 for each.
HIGHEST_COST = 1e-8
# Steepness beta of the gates at the start and at the end of the search.
STEEPNESS = (5.0, 1000.0)
# Adam's constants for the gates, which use the learning rate of the weights.
BETAS = (0.9, 0.999)
EPSILON = 1e-8
# Gate of a synapse that is absent at the start: nearly half open like all others, but the first to be shut.
ABSENT = -1e-3
# Factor of the gates below which a changed weight cannot be taken in, since the weight behind the gates would be huge;
# and the relative difference to the implied weight from which on a weight counts as changed.
NEARLY_SHUT, ROUNDING = 1e-6, 1e-5

Number = float | Tensor


@register("upr")
class UPR(Search):
    r"""Unstructured pruning of weights and neurons under a price for the connections that they keep.

    Shi, Ding, Hao, Yu: "Towards Energy Efficient Spiking Neural Networks: An Unstructured Pruning Framework", ICLR
    2024. During the search the effective weight is :math:`w\,\sigma(\beta a)\,\sigma(\beta b)`, with a gate a of its
    own and a gate b of its presynaptic neuron; :math:`\beta` grows from 5 to 1000, so that gates become 0 or 1. Weights
    and gates are trained together, the gates also on the penalty

    .. math:: \lambda \Big[ \sum_w c_w\, \sigma(\beta a_w) + \sum_n c_n\, \sigma(\beta b_n) \Big]

    with :math:`c_w` the number of connections that share a weight, and :math:`c_n` the number of connections that leave
    a neuron: the operations that its spike costs. At the end of the search synapses with gates above 0 are kept, the
    others are pruned, and the remaining weights are trained. In convolutions a neuron gate belongs to a channel; the
    network's inputs have no gates. Each layer has its own gates for its presynaptic neurons, so a neuron that leads to
    two layers has two; a grouped convolution has none. Gates start half open, with weights scaled up to leave the
    network's function unchanged. Gates are updated by an Adam of their own, with the learning rate of the weights'
    optimizer, whose weight decay acts on w.

    There are two ways to set the sparsity:

    - `price`: the published rule; the sparsity is an outcome.
    - `density`: ours. Every 100 steps all gates are shifted by the same amount, so that the number of synapses with
      open gates follows a cubic schedule, which reaches `density` after 65 % of the search. Training decides the order
      of the gates, the shift only the boundary between open and shut. (Control of the price instead is too slow for a
      short training, because gates that have shut reopen only gradually.)

    Memory during the search: four tensors the size of the weights.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        steps: optimizer steps of the whole training.
        price: lambda, 0 or more; with `density` it only affects the order, the costlier synapses first. None: 1e-8
            divided by the largest number of connections of a weight, which gives the paper's 1e-11 on the paper's
            CIFAR-10 network.
        density: share of the synapses to end with, in (0, 1]; None: an outcome of the price.
        settle: share of `steps` after which the connectivity is fixed, in (0, 1].
        batches: inputs, with or without labels; needed for convolutions, whose connections must be counted.
        exclude: synapses to leave dense.
        include: parameters to take as synapses, as in `find_synapses`.

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
        steps: Steps,
        price: NonNegative | None = None,
        density: Share | None = None,
        settle: Share = 0.8,
        batches: Batches = (),
        exclude: Exclude = (),
        include: Include = (),
    ) -> None:
        first, exclude = next(each_batch(batches), None), entries_of(exclude, include)
        example = None if first is None else inputs_of(first)
        shapes = geometry(network, example, exclude=exclude)
        if unknown := [name for name, shape in shapes.items() if shape.uses is None]:
            raise InputError(f"the connections of {', '.join(unknown)} are not known: pass batches=[inputs, ...]")
        if price is None:  # each weight of a linear layer is one connection
            shared = [int(shape.uses.max()) for shape in shapes.values() if shape.kernel and shape.uses is not None]
            price = HIGHEST_COST / max(shared, default=1)
        super().__init__(network, optimizer, density=density, steps=steps, settle=settle, ramp=RAMP, exclude=exclude)
        uses = {n: shape.uses.to(self.parameters[n]) for n, shape in shapes.items() if shape.uses is not None}
        # Name -> axis of the weight that counts presynaptic neurons, for the layers that have neuron gates.
        first_layer = places(network, exclude.include)[0].name
        self.gated = {n: 1 - shape.output_axis for n, shape in shapes.items() if n != first_layer and shape.groups == 1}
        # Costs of an open synapse gate and of an open neuron gate: price times the connections behind it.
        self.costs = {
            name: (price * count, *self._for_neurons(name, price * count.expand_as(self.parameters[name])))
            for name, count in uses.items()
        }
        self.price = price
        self._update_gates = update_gates_
        self._effective_weights = effective_weights_

    def steepness_at(self, step: int) -> float:
        """Return beta after `step` steps: it grows by the same factor at each."""
        first, last = STEEPNESS
        assert self.settled_at is not None
        return first * (last / first) ** min(step / self.settled_at, 1.0)

    # --- One step

    def _start(self) -> None:
        present = self._note_start()
        # In float32 at least: in half precision small updates of a gate, or of Adam's means, are rounded away.
        gates = {kind: self._full(0, precise=True) for kind in ("gate", "gate_mean", "gate_square")}
        neurons = {
            kind: {name: gates["gate"][name].new_zeros(self._neurons_of(name)) for name in self.gated}
            for kind in self.FREE_KINDS
        }
        for name, gate in gates["gate"].items():  # so that absent synapses are the first to be shut
            gate.masked_fill_(~present[name], ABSENT)
        self.state = {
            "weight": {name: p.detach() * self._initial_scale(name) for name, p in self.parameters.items()},
            **gates,
            **neurons,
        }

    def _before(self, trained: Sequence[Trained]) -> None:
        if self.phase is Phase.FIXED:
            return super()._before(trained)
        for entry in trained:  # weights are written last: until then their memory holds these products
            entry.parameter.data.mul_(entry.gradient)
        products = {entry.name: entry.parameter.data for entry in trained}
        count = self.steps_done + 1
        self._update_gates(
            [entry.gradient for entry in trained],
            list(products.values()),
            [self._gates(name, "gate") for name in products],
            [self._gates(name, "neuron") + self._for_neurons(name, product) for name, product in products.items()],
            [self.costs[entry.name] for entry in trained],
            [entry.group["lr"] for entry in trained],
            [self.steepness_at(self.steps_done), *(1 - beta**count for beta in BETAS)],
        )
        return self._swap_in(trained, [self.state["weight"][entry.name] for entry in trained])

    def _after(self, trained: Sequence[Trained]) -> None:
        if self.phase is Phase.FIXED:
            return super()._after(trained)
        return self._write_weights(
            [entry.name for entry in trained], self._restore_weights(trained), self.steepness_at(self.steps_done + 1)
        )

    def _undo_before(self, trained: Sequence[Trained]) -> None:
        if self.phase is not Phase.FIXED:
            # The weights' memory may hold products, whether the parameters already point elsewhere or not.
            weights = self._restore_weights(trained) or [entry.parameter.data for entry in trained]
            self._write_weights([entry.name for entry in trained], weights, self.steepness_at(self.steps_done))

    def _imply(self, name: str, out: Tensor) -> bool:
        if self.phase is Phase.FIXED:
            return super()._imply(name, out)
        if self.parameters[name].requires_grad:
            self._write_weights([name], [out], self.steepness_at(self.steps_done))
        else:
            torch.div(self.state["weight"][name], self._initial_scale(name), out=out)
        return True

    def _adopt(self, name: str, implied: Tensor) -> None:
        if self.phase is Phase.FIXED:
            return super()._adopt(name, implied)
        weight, behind = self.parameters[name].data, self.state["weight"][name]
        if not self.parameters[name].requires_grad:
            behind.copy_(weight * self._initial_scale(name))
            return None
        open_share = torch.empty_like(weight)
        gates = [self._gates(name, "gate")], [self._gates(name, "neuron")]
        steepness = self.steepness_at(self.steps_done)
        self._effective_weights([torch.ones_like(weight)], *gates, [open_share], [steepness])
        exists = (implied != 0) & (open_share > NEARLY_SHUT)
        # Compiled and eager arithmetic round differently, and a run may be resumed with the other.
        changed = ~((weight - implied).abs() <= ROUNDING * implied.abs())
        self._findings.add_foreign(name, (changed & ~exists).sum())
        behind.copy_(torch.where(changed & exists, weight / open_share, behind))
        weight.copy_(torch.where(exists, weight, implied))
        return None

    def _hidden_kinds(self) -> Collection[str]:
        return ("weight", "gate", "gate_mean", "gate_square", *self.FREE_KINDS)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Do as `Method.load_state_dict`; there must be the gates of all neurons that have one."""
        expected = {name: tuple(self._neurons_of(name)) for name in self.gated}
        for kind in self.FREE_KINDS:
            prefix = f"{kind}/"
            found = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            if found:
                check_shapes(shapes_of(found), expected, what=f"the state {kind!r}", where="the network")
        super().load_state_dict(state)

    def _check_complete(self) -> None:
        super()._check_complete()
        if self.phase is Phase.SEARCHING and any(
            self.state[kind].keys() != self.gated.keys() for kind in self.FREE_KINDS
        ):
            raise InputError(f"the state of UPR lacks gates of neurons: it must have those of {', '.join(self.gated)}")

    def _write_weights(self, names: Sequence[str], weights: Sequence[Tensor], steepness: float) -> None:
        """Write the effective weights of these layers into `weights`."""
        ungated = [self.state["weight"][name] for name in names]
        gates = [self._gates(name, "gate") for name in names]
        neurons = [self._gates(name, "neuron") for name in names]
        self._effective_weights(ungated, gates, neurons, weights, [steepness])

    def _gates(self, name: str, kind: str) -> tuple[Tensor, ...]:
        """Return the gates of a layer with Adam's two moments; () if it has none of this kind."""
        return tuple(self.state[f"{kind}{part}"][name] for part in ("", "_mean", "_square") if name in self.state[kind])

    def _initial_scale(self, name: str) -> float:
        """Return the factor of the weights that makes up for half-open gates."""
        return 4.0 if name in self.gated else 2.0

    def _neurons_of(self, name: str) -> list[int]:
        """Return the shape with one entry for each presynaptic neuron that broadcasts over the weight."""
        return [size if axis == self.gated[name] else 1 for axis, size in enumerate(self.parameters[name].shape)]

    def _for_neurons(self, name: str, values: Tensor) -> tuple[Tensor, ...]:
        """Return the sum of the synapses' values for each presynaptic neuron, in a tuple; () without neuron gates."""
        return (values.sum_to_size(self._neurons_of(name)),) if name in self.gated else ()

    def compile(self) -> None:
        """Compile the arithmetic of a step: two passes over memory instead of thirty."""
        self._update_gates = compiled(update_gates_)
        self._effective_weights = compiled(effective_weights_)

    # --- The end of the search

    def _openings(self) -> dict[str, Tensor]:
        """Return the smaller of a synapse's two gates, a and b; a synapse at or below 0 is shut."""
        return {
            name: torch.minimum(gate, self.state["neuron"][name]) if name in self.gated else gate.clone()
            for name, gate in self.state["gate"].items()
        }

    def _select(self, density: float) -> None:
        openings = self._openings()
        self._findings.check_ranked(openings, self.steps_done)
        alive = keep_share(openings, density)
        shut = [opening.masked_fill_(alive[name], -torch.inf).amax() for name, opening in openings.items()]
        boundary = torch.stack(shut).amax().nan_to_num(neginf=0.0)  # -inf: no gate is to be shut, so none is shifted
        for kind in ("gate", "neuron"):
            for gate in self.state[kind].values():
                gate.sub_(boundary)
        updated = {name: parameter.data for name, parameter in self.parameters.items() if parameter.requires_grad}
        self._write_weights(list(updated), list(updated.values()), self.steepness_at(self.steps_done))

    def _end_search(self) -> None:
        openings = self._openings()
        self._findings.check_ranked(openings, self.steps_done)
        if self.target_density is None:
            alive = {name: opening > 0 for name, opening in openings.items()}
        else:
            alive = keep_share(openings, self.target_density)
        for name, parameter in self.parameters.items():
            # Frozen parameters keep their weights: they were not trained with the gates.
            scale = 1.0 if parameter.requires_grad else 1 / self._initial_scale(name)
            torch.mul(self.state["weight"][name], scale, out=parameter.data)
        self._fix(alive)


# --- Gates
#
# A gate is a tuple (a, mean, square): its value, and Adam's moments of its gradient. All functions work in place and
# take lists with one entry for each tensor of synapses, so that one compiled call updates them all.


def update_gates_(
    gradient: Sequence[Tensor],
    product: Sequence[Tensor],
    gates: Sequence[tuple[Tensor, ...]],
    neurons: Sequence[tuple[Tensor, ...]],
    costs: Sequence[tuple[Tensor, ...]],
    rate: Sequence[Number],
    scales: Sequence[Number],
) -> None:
    """Update the gates by one step of Adam, and replace `gradient` by that of the weights behind the gates.

    With v the effective weight, dL/da = beta (1 - sigmoid(beta a)) v dL/dv, and dL/db is the sum of the same over the
    synapses of b. The derivative of a cost is that of the sigmoid, beta sigmoid (1 - sigmoid).

    Args:
        gradient: of the loss by the effective weights.
        product: that gradient times the effective weights.
        gates: of the synapses; tensors of the weights' shapes.
        neurons: gates of the presynaptic neurons, in shapes that broadcast over the weights, and the sum of the product
            over the synapses of each; or ().
        costs: of an open synapse gate, in shapes that broadcast over the weights, and of an open neuron gate.
        rate: learning rates.
        scales: steepness beta; and 1 - beta1^t, 1 - beta2^t of Adam's bias corrections.
    """
    steepness, first, second = scales
    for g, p, own, shared, cost, lr in zip(gradient, product, gates, neurons, costs, rate, strict=True):
        synapse = torch.sigmoid(steepness * own[0])
        g.mul_(synapse)
        _adam_(own, (p + cost[0] * synapse) * (1 - synapse) * steepness, lr, first, second)
        if shared:
            *gate, outgoing = shared
            neuron = torch.sigmoid(steepness * gate[0])
            g.mul_(neuron)
            _adam_(gate, (outgoing + cost[1] * neuron) * (1 - neuron) * steepness, lr, first, second)


def effective_weights_(
    weight: Sequence[Tensor],
    gates: Sequence[tuple[Tensor, ...]],
    neurons: Sequence[tuple[Tensor, ...]],
    out: Sequence[Tensor],
    scales: Sequence[Number],
) -> None:
    """Write out = weight * sigmoid(beta * a) * sigmoid(beta * b); `scales` holds beta, other arguments as above."""
    (steepness,) = scales
    for w, own, shared, effective in zip(weight, gates, neurons, out, strict=True):
        torch.mul(w, torch.sigmoid(steepness * own[0]), out=effective)
        if shared:
            effective.mul_(torch.sigmoid(steepness * shared[0]))


def _adam_(gate: Sequence[Tensor], gradient: Tensor, rate: Number, first: Number, second: Number) -> None:
    value, mean, square = gate
    mean.lerp_(gradient, 1 - BETAS[0])
    square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
    value -= mean / (square / second).sqrt_().add_(EPSILON) * (rate / first)
