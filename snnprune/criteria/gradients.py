"""Surrogate gradients of a loss, for the criteria that need them."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError, SilentLayers, shortened
from ..graph.layouts import find_layout
from ..graph.uses import Seen
from ..losses import Loss
from ..probe import (
    CURE,
    Axes,
    Inputs,
    batches_of,
    check_classes,
    need_autograd,
    run,
    undisturbed,
    weights_of,
    widened,
)
from ..synapses import Exclude, find_synapses, reset_neurons, unwrapped
from .activity import check_reached, visit_layers
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
    layout: Axes = None,
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
        layout: of the inputs, to find single samples; None: found.

    Raises:
        InputError: wrong batches or labels, a loss that is no number, parameters made in inference mode, or a layer
            that no spike, or no gradient, ever reaches.
    """
    synapses = find_synapses(network, exclude=exclude)
    batches = batches_of(batches, labelled=True)
    need_autograd(network)
    leaves = {name: weight.clone().requires_grad_() for name, weight in weights_of(network, exclude).items()}
    has_gradient = dict.fromkeys(leaves, False)
    with torch.enable_grad(), undisturbed(network, batch_statistics=not one_by_one):
        for inputs, labels in _samples(network, batches, layout) if one_by_one else _labelled(batches):
            reset_neurons(network)
            weights = {name: leaf.to(synapses[name].parameter.dtype) for name, leaf in leaves.items()}

            def with_leaves(*args: Any, weights: Scores = weights, **kwargs: Any) -> Any:
                return torch.func.functional_call(network, weights, args, kwargs)

            output = run(with_leaves, inputs, of=network)
            if isinstance(output, Tensor):
                check_classes(output, labels)
                output = widened(output)
            slopes = torch.autograd.grad(
                _loss_of(loss, output, labels),
                list(leaves.values()),
                create_graph=differentiable,
                allow_unused=True,
                materialize_grads=True,
            )
            for name, slope in zip(leaves, slopes, strict=True):
                has_gradient[name] = has_gradient[name] or bool(slope.detach().any())
            visit(leaves, dict(zip(leaves, slopes, strict=True)))
    if unreached := [name for name, found in has_gradient.items() if not found]:
        check_reached(_reached(network, batches, unreached, exclude, layout))
        raise SilentLayers(
            f"no gradient reaches {', '.join(unreached)} on the given batches: the layers behind are silent, and the "
            f"scores would all be 0; {CURE}",
            unreached,
        )


def mean_over_batches(
    network: nn.Module,
    batches: Batches,
    loss: Loss,
    term: Callable[[Tensor, Tensor], Tensor],
    *,
    exclude: Exclude,
    one_by_one: bool = False,
    layout: Axes = None,
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

    visit_gradients(network, batches, loss, add, exclude=exclude, one_by_one=one_by_one, layout=layout)
    return {name: summed / count for name, summed in total.items()}


def _reached(network: nn.Module, batches: Batches, names: list[str], exclude: Exclude, layout: Any) -> dict[str, bool]:
    """Return which layers receive an input other than 0 on the batches."""
    found = dict.fromkeys(names, False)

    def look(name: str, _seen: Seen, values: Tensor) -> None:
        if name in found:
            found[name] = found[name] or bool(values.any())

    with suppress(InputError):  # the layers that are silent are known then, too
        visit_layers(network, batches, look, exclude=exclude, layout=layout)
    return found


def _loss_of(loss: Loss, output: Any, labels: Tensor) -> Tensor:
    try:
        value = loss(output, labels)
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError, KeyError) as error:
        reason, _, _ = str(error).partition("\n")
        shape = list(output.shape) if isinstance(output, Tensor) else f"of type {type(output).__name__}"
        raise InputError(f"loss cannot be computed of outputs {shape}: {reason}") from error
    if not (isinstance(value, Tensor) and value.numel() == 1 and value.requires_grad):
        raise InputError(f"loss must return one number with a gradient, found {shortened(value)}")
    return value


def _labelled(batches: Batches) -> Iterator[tuple[Any, Tensor]]:
    for batch in batches:
        yield batch[0], batch[1]


def _samples(network: nn.Module, batches: Batches, layout: Any) -> Iterator[tuple[Any, Tensor]]:
    """Yield single samples with their labels."""
    plain = unwrapped(network)
    for inputs, labels in _labelled(batches):
        given = Inputs.of(inputs)
        axes = find_layout(plain, given, layout, labels=len(labels))[0].samples
        if given.sizes(axes)[0] != len(labels):
            raise InputError(f"{len(labels)} labels do not fit {given.sizes(axes)[0]} samples of {given.described()}")
        for index in range(len(labels)):
            one = given.taken(axes, 1, first=index)
            yield (
                one.kwargs or (one.args if isinstance(inputs, tuple | list) else one.args[0]),
                labels[index : index + 1],
            )
