"""The modules of a network, without the wrappers around it."""

from collections.abc import Iterator
from typing import cast

from torch import nn
from torch.optim.swa_utils import AveragedModel

# Modules that hold a network as their attribute `module`.
_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)


def named_plain_modules(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield all modules with their names as in the plain network, each once, as `named_modules` does.

    A wrapper (torch.compile, DataParallel, DistributedDataParallel, AveragedModel) is left out and adds nothing to the
    names of the modules in it, so that files and options fit the network with and without it.
    """
    seen: set[int] = set()

    def walk(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        if id(module) in seen:
            return
        seen.add(id(module))
        inner = unwrapped(module)
        if inner is not module:
            yield from walk(name, inner)
            return
        yield name, module
        for own_name, child in module.named_children():
            yield from walk(f"{name}.{own_name}" if name else own_name, child)

    return walk("", network)


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network that is inside one wrapper or more, or the network itself."""
    while True:
        if "_orig_mod" in network._modules:  # torch.compile, whose class is not imported unless it is used
            network = cast(nn.Module, network._modules["_orig_mod"])
        elif isinstance(network, _WRAPPERS):
            network = network.module
        else:
            return network
