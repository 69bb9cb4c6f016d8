"""The weight tensors of a network: found, named and excluded."""

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.optim.swa_utils import AveragedModel

from ..errors import InputError, shortened

# Types of weights: those of which torch computes gradients and comparisons.
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

# Modules that hold a network as their attribute `module`.
_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)

Exclude = str | type[nn.Module] | Iterable[str | type[nn.Module]]


@dataclass(frozen=True)
class Synapses:
    """One tensor of synapses: the weight of a linear layer or a convolution.

    Attributes:
        name: the parameter's name in the plain network's `named_parameters()`, such as "fc1.weight"; wrappers
            (torch.compile, data parallel, averaged models) add nothing to it.
        parameter: the weight; (out, in) for Linear, (out, in / groups, *kernel) for convolutions,
            (in, out / groups, *kernel) for transposed ones.
        module: the layer that holds it.
    """

    name: str
    parameter: nn.Parameter
    module: nn.Linear | _ConvNd


def find_synapses(network: nn.Module, *, exclude: Exclude = ()) -> dict[str, Synapses]:
    """Return the synapses of a network, in the order of its modules.

    Synapses are the weights of Linear, Conv1d/2d/3d and ConvTranspose1d/2d/3d and of their subclasses, SpikingJelly's
    included. Biases, normalisation and neuron parameters are not. A weight shared by two layers counts once.

    Args:
        network: any module.
        exclude: entries to leave out, one or several: parameter names ("fc2.weight"), module names ("fc2"), globs
            ("head.*"), or module types (`nn.Conv2d`).

    A weight without elements (a layer with no inputs or no outputs) has no synapses and is left out.

    Raises:
        InputError: not a module; no synapses (left); an entry of `exclude` that matches nothing; a weight that is
            parametrized, pruned by torch.nn.utils, or not initialised yet (lazy layers, the device "meta"), or whose
            numbers are not float16, bfloat16, float32 or float64, one beside the other (no sparse or nested tensors).
    """
    if not isinstance(network, nn.Module):
        raise InputError(f"network must be a torch module, found {type(network).__name__}")
    found: dict[str, Synapses] = {}
    seen: set[int] = set()
    for module_name, module in named_plain_modules(network):
        if not isinstance(module, nn.Linear | _ConvNd):
            continue
        name = f"{module_name}.weight".lstrip(".")
        parameter = _plain_weight(name, module)
        if id(parameter) not in seen and parameter.numel():
            seen.add(id(parameter))
            found[name] = Synapses(name, parameter, module)
    kept = _without(found, entries_of(exclude))
    if not kept:
        raise InputError(
            f"{type(network).__name__} has no synapses"
            + (f" left: exclude takes all of {', '.join(found)}" if found else "")
            + "; synapses are the weights of Linear and convolution layers"
        )
    return kept


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


def entries_of(exclude: Exclude) -> tuple[str | type[nn.Module], ...]:
    """Return the entries of an `exclude`, which may be a single one, as a tuple.

    Raises:
        InputError: no list, or an entry that is neither a name nor a type of modules.
    """
    several = isinstance(exclude, Iterable) and not isinstance(exclude, str | type | nn.Module | Tensor)
    if isinstance(exclude, Mapping | bytes):
        raise InputError(f"exclude must be a name, a module type, or a list of these, found {shortened(exclude)}")
    entries = tuple(exclude) if several else (exclude,)  # type: ignore[arg-type]
    if wrong := [entry for entry in entries if not isinstance(entry, str | type)]:
        raise InputError(f"exclude takes names and module types, found an object of type {type(wrong[0]).__name__}")
    return entries  # type: ignore[return-value]


def _plain_weight(name: str, module: nn.Module) -> nn.Parameter:
    weight = module._parameters.get("weight")
    if weight is None:
        raise InputError(
            f"{name} is not a plain parameter (parametrized, or pruned by torch.nn.utils.prune): "
            "remove the parametrization first"
        )
    if isinstance(weight, nn.parameter.UninitializedParameter):
        raise InputError(f"{name} has no shape yet (a lazy layer): run the network once first")
    if weight.is_nested or weight.layout is not torch.strided:
        raise InputError(f"{name} is a sparse or nested tensor: make it a plain one, with weight.to_dense()")
    if weight.dtype not in DTYPES:
        known = ", ".join(str(dtype).removeprefix("torch.") for dtype in DTYPES)
        raise InputError(f"{name} holds {weight.dtype}, synapses are {known}: call network.float() before")
    if weight.is_meta:
        raise InputError(f'{name} has no values (device "meta"): call network.to_empty(device="cpu"), and load them')
    return cast(nn.Parameter, weight)


def _without(found: dict[str, Synapses], exclude: tuple[str | type[nn.Module], ...]) -> dict[str, Synapses]:
    kept = dict(found)
    for entry in exclude:
        matched = [name for name, synapses in found.items() if _matches(synapses, entry)]
        if not matched:
            shown = entry if isinstance(entry, str) else entry.__name__
            raise InputError(f"exclude {shown!r} matches no synapses; the network has {', '.join(found) or 'none'}")
        for name in matched:
            kept.pop(name, None)
    return kept


def _matches(synapses: Synapses, entry: str | type[nn.Module]) -> bool:
    if isinstance(entry, type):
        return isinstance(synapses.module, entry)
    module_name = synapses.name.rpartition(".")[0]
    return any(fnmatch.fnmatchcase(name, entry) for name in (synapses.name, module_name))
