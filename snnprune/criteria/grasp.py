"""GraSP: scores by the effect of a synapse on the gradient flow."""

import torch
from torch import Tensor, nn

from ..losses import Loss, cross_entropy
from ..options import Positive, checked
from ..probe import batches_of, weights_of
from ..synapses import Exclude
from .gradients import mean_over_batches, visit_gradients
from .registry import Batches, Scores, register


@register("grasp", needs="labels")
@checked
def grasp(network: nn.Module, batches: Batches, *, temperature: Positive = 200.0, exclude: Exclude = ()) -> Scores:
    r"""GraSP: :math:`w \odot H g`, with gradient and Hessian of the mean loss of the batches.

    Wang, Zhang, Grosse: "Picking Winning Tickets Before Training by Preserving Gradient Flow", ICLR 2020, equation 8.
    The paper's score has the opposite sign, and its largest are removed. Removing a weight changes the squared norm of
    the gradient by :math:`-2 w \odot H g`: the weights whose removal would lower it most are kept. The loss is the
    paper's, the cross-entropy of outputs divided by a temperature. The surrogate is differentiated twice, which is a
    poor approximation of a spike's second derivative.

    Assumes a fresh network.

    Args:
        network: unchanged afterwards.
        batches: (inputs, labels), run through twice.
        temperature: above 0; 200 in the authors' code.
        exclude: as in `find_synapses`.

    Raises:
        InputError: a layer that no spike, or no gradient, reaches.
    """
    batches, loss = batches_of(batches, labelled=True), _softened(temperature)
    weights = weights_of(network, exclude)
    slope = mean_over_batches(network, batches, loss, lambda _, part: part, exclude=exclude)
    product = {name: torch.zeros_like(weight) for name, weight in weights.items()}

    def add_product(leaves: Scores, slopes: Scores) -> None:
        """Add the Hessian-vector product of this batch with the mean gradient."""
        along = torch.stack([(part * slope[name]).sum() for name, part in slopes.items()]).sum()
        parts = torch.autograd.grad(along, list(leaves.values()), allow_unused=True, materialize_grads=True)
        for name, part in zip(leaves, parts, strict=True):
            product[name] += part / len(batches)

    visit_gradients(network, batches, loss, add_product, exclude=exclude, differentiable=True)
    return {name: weight * product[name] for name, weight in weights.items()}


def _softened(temperature: float) -> Loss:
    def loss(output: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(output / temperature, labels)

    return loss
