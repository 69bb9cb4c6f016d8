"""The synapses of a network: its weight tensors, and how each connects neurons."""

import copy
import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.optim.swa_utils import AveragedModel

from .errors import InputError, shortened

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


@dataclass(frozen=True)
class Geometry:
    """The connection pattern of one tensor of synapses.

    For convolutions, units are channels, and fans count shared weights: kernel entries, borders ignored.

    Attributes:
        inputs: presynaptic units (features or channels).
        outputs: postsynaptic units.
        groups: convolution groups; 1 for Linear.
        kernel: kernel size; empty for Linear.
        fan_in: weights that lead into one postsynaptic unit.
        fan_out: weights that leave one presynaptic unit.
        output_axis: the axis of the weight tensor that counts postsynaptic units (within a group when transposed).
        uses: number of connections (pairs of neurons) that share each weight; broadcasts over the weight tensor. Ones
            for Linear. None for a convolution whose spatial sizes are not known.
    """

    inputs: int
    outputs: int
    groups: int
    kernel: tuple[int, ...]
    fan_in: int
    fan_out: int
    output_axis: int
    uses: Tensor | None


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


def geometry(network: nn.Module, example: Tensor | None = None, *, exclude: Exclude = ()) -> dict[str, Geometry]:
    """Return the geometry of every tensor of synapses.

    Args:
        network: any module; unchanged afterwards.
        example: one input batch, as the network takes it. With it the network runs once (in evaluation mode, without
            gradients) and the uses of convolution weights are counted exactly: a kernel entry that falls on the zero
            padding at a border is not used there.
        exclude: as in `find_synapses`.

    Raises:
        InputError: as `find_synapses`, an example that the network does not take, or a convolution that did not run on
            it.
    """
    synapses = find_synapses(network, exclude=exclude)
    shapes = {name: static_geometry(entry.module) for name, entry in synapses.items()}
    if example is None:
        return shapes
    if not isinstance(example, Tensor):
        raise InputError(f"example must be a tensor of inputs, found {shortened(example)}")
    for name, (input_size, output_size) in _trace_sizes(network, synapses, example).items():
        module = cast(_ConvNd, synapses[name].module)
        shapes[name] = replace(shapes[name], uses=_count_uses(module, input_size, output_size))
    return shapes


def static_geometry(module: nn.Linear | _ConvNd) -> Geometry:
    """Return the geometry of a layer without spatial sizes: the uses of a convolution's weights are not known."""
    if isinstance(module, nn.Linear):
        uses = torch.ones((1, 1), dtype=torch.int64, device="cpu")
        n_in, n_out = module.in_features, module.out_features
        return Geometry(n_in, n_out, 1, (), fan_in=n_in, fan_out=n_out, output_axis=0, uses=uses)
    n_in, n_out, groups = module.in_channels, module.out_channels, module.groups
    kernel = tuple(module.kernel_size)
    taps = int(torch.Size(kernel).numel())
    fan_in, fan_out = n_in // groups * taps, n_out // groups * taps
    output_axis = 1 if isinstance(module, _ConvTransposeNd) else 0
    return Geometry(n_in, n_out, groups, kernel, fan_in, fan_out, output_axis, uses=None)


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
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)


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


def reset_neurons(network: nn.Module) -> None:
    """Reset the state of all neurons (SpikingJelly's `functional.reset_net`)."""
    from spikingjelly.activation_based import functional

    functional.reset_net(network)


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


def _trace_sizes(
    network: nn.Module, synapses: dict[str, Synapses], example: Tensor
) -> dict[str, tuple[torch.Size, torch.Size]]:
    """Return the spatial input and output sizes of each convolution when the network runs on `example`."""
    sizes: dict[str, tuple[torch.Size, torch.Size]] = {}
    convolutions: dict[nn.Module, str] = {
        entry.module: name for name, entry in synapses.items() if isinstance(entry.module, _ConvNd)
    }

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        spatial = len(cast(_ConvNd, module).kernel_size)
        sizes[convolutions[module]] = (inputs[0].shape[-spatial:], output.shape[-spatial:])

    with torch.no_grad(), probing(network, lambda module: note if module in convolutions else None):
        try:
            network(example)
        except (RuntimeError, ValueError) as error:
            reason, _, _ = str(error).partition("\n")
            raise InputError(f"{type(network).__name__} does not take {list(example.shape)}: {reason}") from error
    if missed := [name for name in convolutions.values() if name not in sizes]:
        raise InputError(f"{', '.join(missed)} did not run on the example: its uses cannot be counted; exclude it")
    return sizes


def _count_uses(module: _ConvNd, input_size: torch.Size, output_size: torch.Size) -> Tensor:
    """Count the connections that share each kernel entry, shape (1, 1, *kernel).

    Along one axis an entry is used once for each position at which it falls inside the input; the axes multiply.
    """
    uses = torch.ones((), dtype=torch.int64, device="cpu")
    # A transposed convolution connects the same pairs as the convolution from its output to its input.
    transposed = isinstance(module, _ConvTransposeNd)
    sources, targets = (output_size, input_size) if transposed else (input_size, output_size)
    for axis, taps in enumerate(module.kernel_size):
        first = torch.arange(targets[axis], device="cpu") * module.stride[axis] - _padding(module, axis)
        position = first[:, None] + torch.arange(taps, device="cpu") * module.dilation[axis]
        inside = (position >= 0) & (position < sources[axis])
        if module.padding_mode != "zeros":  # the border is filled with real activity: every entry is used
            inside = torch.ones_like(inside)
        uses = uses[..., None] * inside.sum(0)
    return uses[None, None]


def _padding(module: _ConvNd, axis: int) -> int:
    """Return the number of zeros before the first input along an axis; "same" puts the smaller half first."""
    if module.padding == "valid":
        return 0
    if module.padding == "same":
        return module.dilation[axis] * (module.kernel_size[axis] - 1) // 2
    return cast(tuple[int, ...], module.padding)[axis]
