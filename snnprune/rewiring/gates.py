"""The arithmetic of gates: weights that act as w * sigmoid(beta * a) * sigmoid(beta * b). All in place.

A gate is a tuple (a, mean, square): its value, and what Adam remembers of its gradients. Each function takes lists with
one entry for each tensor of synapses, so that one compiled call does them all; numbers stand in lists.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

# Of the gates' own Adam steps, which take the learning rate of the weights.
BETAS = (0.9, 0.999)
EPSILON = 1e-8

Number = float | Tensor


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
