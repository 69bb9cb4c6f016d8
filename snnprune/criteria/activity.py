"""Sums, for each weight, over the presynaptic activity of all samples, time steps and positions."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..probe import InputMonitor, each_batch, inputs_of, need_autograd, run, undisturbed, widened
from ..synapses import Exclude, check_layers, find_synapses, reset_neurons
from .registry import Batches, Scores

# Called with parameter name, module and the layer's input in float32, or float64 if that is its type.
Visit = Callable[[str, nn.Module, Tensor], None]


def visit_layers(network: nn.Module, batches: Batches, visit: Visit, *, exclude: Exclude) -> None:
    """Run a network on batches, without gradients and in evaluation mode, and call `visit` at each layer of synapses.

    Args:
        network: unchanged afterwards.
        batches: inputs, with or without labels.
        visit: called after each run of a layer; may run the layer itself.
        exclude: as in `find_synapses`.

    Raises:
        InputError: batches that the network does not take, or a layer that no spike ever reaches.
    """
    need_autograd(network)
    check_layers(find_synapses(network, exclude=exclude), "a criterion of activity")
    monitor = InputMonitor(network, exclude)
    visiting = False

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Visit a layer that just ran."""
        nonlocal visiting
        if not visiting:  # `visit` may run the layer, which calls this hook again
            visiting = True
            monitor.record(module, inputs, output)
            visit(monitor.names[module], module, widened(inputs[0].detach()))
            visiting = False

    with torch.no_grad(), undisturbed(network, lambda module: hook if module in monitor.names else None):
        for batch in each_batch(batches):
            reset_neurons(network)
            run(network, inputs_of(batch), of=network)
    monitor.check()


def input_sums(
    network: nn.Module, batches: Batches, *transforms: Callable[[Tensor], Tensor], exclude: Exclude
) -> list[Scores]:
    """Return for each weight the sum of a function of its input, over all its uses on all batches.

    Args:
        network: unchanged afterwards.
        batches: inputs, with or without labels.
        transforms: applied to each layer's input.
        exclude: as in `find_synapses`.

    Returns:
        for each transform, parameter name -> sums of the weight's shape, float32 (or float64).

    Raises:
        InputError: a layer that no spike reaches.
    """
    sums: list[Scores] = [{} for _ in transforms]

    def add(name: str, module: nn.Module, inputs: Tensor) -> None:
        for found, transform in zip(sums, transforms, strict=True):
            more = per_weight(module, transform(inputs), torch.ones((), dtype=inputs.dtype, device=inputs.device))
            found[name] = found[name] + more if name in found else more

    visit_layers(network, batches, add, exclude=exclude)
    return sums


def per_weight(module: nn.Module, inputs: Tensor, outputs: Tensor) -> Tensor:
    """Return for each weight the sum, over all its uses, of its input times the entry of `outputs` at its output.

    This is the weight gradient of a layer for the output gradient `outputs`, so that autograd serves any kind of layer.

    Args:
        module: the layer.
        inputs: of the layer, float32 or float64.
        outputs: of the shape of the layer's output, or broadcasting to it.

    Returns:
        sums of the weight's shape, in the type of the inputs.
    """
    with torch.enable_grad():
        weight = torch.zeros_like(module.weight, dtype=inputs.dtype).requires_grad_()  # type: ignore[arg-type]
        output = linear_map(module, inputs, weight)
        (summed,) = torch.autograd.grad(output, weight, outputs.expand_as(output))
    return summed


def linear_map(module: nn.Module, inputs: Tensor, weight: Tensor) -> Tensor:
    """Return the output of a layer with these weights and without bias."""
    replaced: dict[str, Any] = {"weight": weight}
    if getattr(module, "bias", None) is not None:
        replaced["bias"] = torch.zeros_like(module.bias, dtype=weight.dtype)  # type: ignore[arg-type]
    return torch.func.functional_call(module, replaced, (inputs,))
