"""Surrogate gradients of a loss, for the criteria that need them."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from ..errors import InputError, shortened
from ..losses import Loss
from ..probe import CURE, InputMonitor, check_classes, each_batch, need_autograd, run, undisturbed, weights_of, widened
from ..synapses import Exclude, find_synapses, reset_neurons
from .registry import Batches, Scores

# Called with leaves that replace the weights, float32 or float64, and with their gradients, of the weights' shapes.
Visit = Callable[[Scores, Scores], None]


def visit_gradients(
    network: nn.Module,
    batches: Batches,
    loss: Loss,
    visit: Visit,
    *,
    exclude: Exclude,
    one_by_one: bool = False,
    differentiable: bool = False,
) -> None:
    """Call `visit` with the gradient of the loss of each batch by each tensor of synapses, through all time steps.

    Dropout is off. Normalisation uses the statistics of each batch, as in training.

    Args:
        network: unchanged afterwards.
        batches: (inputs, labels).
        loss: of outputs and labels.
        visit: called with gradients enabled.
        exclude: as in `find_synapses`.
        one_by_one: split the batches into single samples; normalisation then uses its running statistics.
        differentiable: keep the graph, so that the gradients can be differentiated again.

    Raises:
        InputError: wrong batches or labels, a loss that is no number, parameters made in inference mode, or a layer
            that no spike, or no gradient, ever reaches.
    """
    synapses = find_synapses(network, exclude=exclude)
    need_autograd(network)
    leaves = {name: weight.clone().requires_grad_() for name, weight in weights_of(network, exclude).items()}
    monitor = InputMonitor(network, exclude)
    has_gradient = dict.fromkeys(leaves, False)
    with torch.enable_grad(), undisturbed(network, monitor.hook_for, batch_statistics=not one_by_one):
        for inputs, labels in _samples(network, batches) if one_by_one else _labelled(batches):
            reset_neurons(network)
            weights = {name: leaf.to(synapses[name].parameter.dtype) for name, leaf in leaves.items()}
            output = run(partial(torch.func.functional_call, network, weights), inputs, of=network)
            check_classes(output, labels)
            slopes = torch.autograd.grad(
                _loss_of(loss, widened(output), labels),
                list(leaves.values()),
                create_graph=differentiable,
                allow_unused=True,
                materialize_grads=True,
            )
            for name, slope in zip(leaves, slopes, strict=True):
                has_gradient[name] = has_gradient[name] or bool(slope.detach().any())
            visit(leaves, dict(zip(leaves, slopes, strict=True)))
    monitor.check()
    if unreached := [name for name, found in has_gradient.items() if not found]:
        raise InputError(
            f"no gradient reaches {', '.join(unreached)} on the given batches: the layers behind are silent, and the "
            f"scores would all be 0; {CURE}"
        )


def mean_over_batches(
    network: nn.Module,
    batches: Batches,
    loss: Loss,
    term: Callable[[Tensor, Tensor], Tensor],
    *,
    exclude: Exclude,
    one_by_one: bool = False,
) -> Scores:
    """Return the mean over batches, or over samples with `one_by_one`, of a function of weight and gradient.

    Arguments and errors as `visit_gradients`.
    """
    total = {name: torch.zeros_like(weight) for name, weight in weights_of(network, exclude).items()}
    count = 0

    def add(leaves: Scores, slopes: Scores) -> None:
        """Add the terms of one batch or sample."""
        nonlocal count
        count += 1
        for name, slope in slopes.items():
            total[name] += term(leaves[name].detach(), slope)

    visit_gradients(network, batches, loss, add, exclude=exclude, one_by_one=one_by_one)
    return {name: summed / count for name, summed in total.items()}


def _loss_of(loss: Loss, output: Tensor, labels: Tensor) -> Tensor:
    try:
        value = loss(output, labels)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        reason, _, _ = str(error).partition("\n")
        raise InputError(f"loss cannot be computed of outputs {list(output.shape)}: {reason}") from error
    if not (isinstance(value, Tensor) and value.numel() == 1 and value.requires_grad):
        raise InputError(f"loss must return one number with a gradient, found {shortened(value)}")
    return value


def _labelled(batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    for batch in each_batch(batches, labelled=True):
        yield batch[0], batch[1]


def _samples(network: nn.Module, batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    for inputs, labels in _labelled(batches):
        axis = _sample_axis(network, inputs, labels)
        for index in range(len(labels)):
            yield inputs.narrow(axis, index, 1), labels[index : index + 1]


def _sample_axis(network: nn.Module, inputs: Tensor, labels: Tensor) -> int:
    """Return the axis that counts samples: 0, or 1 for inputs [T, B, ...]."""
    fitting = [axis for axis in range(min(2, inputs.dim())) if inputs.shape[axis] == len(labels)]
    if len(fitting) == 1:
        return fitting[0]
    # As many time steps (or channels) as samples: only a slice of the sample axis gives a single output.
    with torch.no_grad():
        reset_neurons(network)
        output = run(network, inputs.narrow(0, 0, 1), of=network)
    return 0 if output.shape[-2] == 1 else 1
