"""Networks that are run for a measurement, and are afterwards as they were."""

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def probing(
    network: nn.Module,
    hook_for: Callable[[nn.Module], Callable[..., Any] | None] = lambda module: None,
    *,
    batch_statistics: bool = False,
) -> Iterator[None]:
    """Let a network run for measurements, and restore modes, buffers and neuron state afterwards.

    Within the context the network is in evaluation mode, its neurons start from their initial state, the forward hooks
    are registered, and autocast is off: measurements have the precision of the weights.

    Args:
        network: any module.
        hook_for: returns the forward hook of a module, or None.
        batch_statistics: normalise by each batch's own statistics, as in training; for fresh networks, whose running
            statistics are still meaningless.
    """
    from spikingjelly.activation_based.base import MemoryModule

    modules = list(network.modules())
    modes = [module.training for module in modules]
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()] if batch_statistics else []
    # The memory is set aside, not reset: a reset would overwrite its tensors in place.
    memories = [(module, module._memories) for module in modules if isinstance(module, MemoryModule)]
    # Attributes too: a network may keep a state of its own in them.
    attributes = [(module, dict(module.__dict__)) for module in modules]
    handles = [module.register_forward_hook(hook) for module in modules if (hook := hook_for(module))]
    kinds = {"cpu", *(parameter.device.type for parameter in network.parameters())}
    try:
        network.eval()
        for module in modules:
            if batch_statistics and isinstance(module, _BatchNorm):
                module.training = True
        for module, _ in memories:
            module._memories = copy.deepcopy(module._memories_rv)
        with ExitStack() as stack:
            for kind in kinds:
                stack.enter_context(torch.autocast(kind, enabled=False))
            yield
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        for module, memory in memories:
            module._memories = memory
        for module, before in attributes:
            for name in module.__dict__.keys() - before.keys():
                del module.__dict__[name]
            module.__dict__.update(before)
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)


def reset_neurons(network: nn.Module) -> None:
    """Reset the state of all neurons (SpikingJelly's `functional.reset_net`)."""
    from spikingjelly.activation_based import functional

    functional.reset_net(network)
