"""GraSP: keep what the flow of gradients needs."""

import torch
from torch import Tensor, nn

from ..losses import Loss, cross_entropy
from ..probe import weights_of
from ..synapses import Exclude
from .gradients import mean_over_batches, visit_gradients
from .registry import Batches, Scores, register


@register("grasp", needs="labels")
def grasp(network: nn.Module, batches: Batches, *, temperature: float = 200.0, exclude: Exclude = ()) -> Scores:
    r"""GraSP: :math:`w \odot H g`, with gradient and Hessian of the mean loss of the batches.

    Wang, Zhang, Grosse: "Picking Winning Tickets Before Training by Preserving Gradient Flow", ICLR 2020, equation 8,
    whose score is the negative of ours and whose largest go. Taking a weight away changes the squared norm of the
    gradient by :math:`-2 w \odot H g`: kept is what would lower it most. The loss is the paper's: the cross-entropy of
    outputs divided by a temperature. The surrogate is differentiated twice; of a spike's true second derivative that
    says little.

    Assumes a fresh network.

    Args:
        network: left as it was.
        batches: (inputs, labels), run through twice.
        temperature: 200 in the authors' code.
        exclude: as in `find_synapses`.

    Raises:
        InputError: a layer that no spike, or no gradient, reaches.
    """
    batches, loss = list(batches), _softened(temperature)
    weights = weights_of(network, exclude)
    slope = mean_over_batches(network, batches, loss, lambda _, part: part, exclude=exclude)
    bent = {name: torch.zeros_like(weight) for name, weight in weights.items()}

    def bend(leaves: Scores, slopes: Scores) -> None:
        """Add what the loss's curvature, in this batch, makes of the mean slope."""
        along = torch.stack([(part * slope[name]).sum() for name, part in slopes.items()]).sum()
        parts = torch.autograd.grad(along, list(leaves.values()), allow_unused=True, materialize_grads=True)
        for name, part in zip(leaves, parts, strict=True):
            bent[name] += part / len(batches)

    visit_gradients(network, batches, loss, bend, exclude=exclude, differentiable=True)
    return {name: weight * bent[name] for name, weight in weights.items()}


def _softened(temperature: float) -> Loss:
    def loss(output: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(output / temperature, labels)

    return loss
