"""Sums, for each weight, over the presynaptic activity of all samples, time steps and positions."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import SilentLayers
from ..graph.uses import Seen, Watched
from ..probe import CURE, Axes, each_batch, need_autograd, weights_of, widened
from ..synapses import Exclude, find_synapses
from .registry import Batches, Scores

# Called with parameter name, one use of it, and what it reads in float32, or float64 if that is its type.
Visit = Callable[[str, Seen, Tensor], None]


def visit_layers(
    network: nn.Module, batches: Batches, visit: Visit, *, exclude: Exclude, layout: Axes = None, mixed: bool = True
) -> None:
    """Run a network on batches, without gradients and in evaluation mode, and call `visit` at each use of its synapses.

    Args:
        network: unchanged afterwards.
        batches: inputs, with or without labels.
        visit: called at each use.
        exclude: as in `find_synapses`.
        layout: of the inputs; None: found.
        mixed: samples need not be told apart.

    Raises:
        InputError: batches that the network does not take, or a layer that no spike ever reaches.
    """
    need_autograd(network)
    reached = dict.fromkeys(find_synapses(network, exclude=exclude), False)
    watched = Watched(network, layout, names=reached, mixed=mixed)

    def show(seen: Seen) -> None:
        name = seen.use.parameter
        if name in reached:
            reached[name] = reached[name] or bool(seen.values.any())
            visit(name, seen, widened(seen.values))

    for batch in each_batch(batches):
        watched.run(batch, show)
    check_reached(reached)


def check_reached(reached: dict[str, bool]) -> None:
    """Make sure that every layer received an input other than 0.

    Raises:
        SilentLayers: names the layers that did not.
    """
    if silent := [name for name, found in reached.items() if not found]:
        raise SilentLayers(
            f"no spike reaches {', '.join(silent)} on the given batches: the layers before are silent, and the "
            f"scores would carry no information; {CURE}",
            silent,
        )


def input_sums(
    network: nn.Module,
    batches: Batches,
    *transforms: Callable[[Tensor], Tensor],
    exclude: Exclude,
    layout: Axes = None,
) -> list[Scores]:
    """Return for each weight the sum of a function of its input, over all its uses on all batches.

    Args:
        network: unchanged afterwards.
        batches: inputs, with or without labels.
        transforms: applied to what each use reads.
        exclude: as in `find_synapses`.
        layout: of the inputs; None: found.

    Returns:
        for each transform, parameter name -> sums of the weight's shape, float32 (or float64).

    Raises:
        InputError: a layer that no spike reaches.
    """
    zeros = {name: torch.zeros_like(weight) for name, weight in weights_of(network, exclude).items()}
    sums: list[Scores] = [dict(zeros) for _ in transforms]

    def add(name: str, seen: Seen, values: Tensor) -> None:
        for found, transform in zip(sums, transforms, strict=True):
            found[name] = found[name] + per_weight(seen, transform(values))

    visit_layers(network, batches, add, exclude=exclude, layout=layout)
    return sums


def per_weight(seen: Seen, values: Tensor, outputs: Tensor | None = None) -> Tensor:
    """Return for each weight the sum, over its uses in a call, of its input times the entry of `outputs` there.

    This is the weight gradient of the call for the output gradient `outputs`.

    Args:
        seen: the call.
        values: in place of what it reads, float32 or float64.
        outputs: of the shape of the output; None: ones.

    Returns:
        sums of the parameter's shape, in the type of the values.
    """
    return seen.slope_of_weights(seen.ones(values) if outputs is None else outputs, values)
