"""A tape of everything that a network computes on an example: each torch operator, and each neuron as one step."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.weak import WeakIdKeyDictionary

from ..probe import undisturbed
from ..synapses import named_plain_modules
from .operators import ACTIVATIONS, COMPARISONS, Kind, base_name, kind_of

# Where a call stands in the program: the code and the place in it, of each frame between the network and the operator.
Site = tuple[Any, ...]


@dataclass(frozen=True)
class Ref:
    """A tensor on the tape, by its number."""

    index: int


@dataclass(frozen=True, eq=False)
class Step:
    """One step of the tape: an operator, or a neuron.

    Attributes:
        kind: of the operator; "neuron" for a neuron module.
        name: the operator's, or the neuron's class.
        operator: called with `args` and `kwargs`, in which every tensor is a `Ref`; None for a neuron.
        outputs: numbers of the tensors that it returns; None for what is no tensor.
        mutated: numbers of the tensors that it changes in place.
        module: name of the module in which it runs.
        site: where it stands in the program, for contractions, neurons, comparisons and activations.
        neuron: the module, for a neuron.
    """

    kind: Kind
    name: str
    operator: OpOverload | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[int | None, ...]
    mutated: tuple[int, ...]
    module: str
    site: Site
    neuron: nn.Module | None = None

    def inputs(self) -> list[int]:
        """Return the numbers of its input tensors, in their order."""
        return self._inputs

    @cached_property
    def _inputs(self) -> list[int]:
        leaves, _ = tree_flatten((self.args, dict(self.kwargs)))
        return [leaf.index for leaf in leaves if isinstance(leaf, Ref)]


@dataclass(eq=False)
class Tape:
    """All steps of one run.

    Attributes:
        steps: in the order in which they ran.
        shapes: of every tensor, by its number.
        outside: tensors that no step made (parameters, buffers, constants, inputs), and those made by a step whose
            elements are whole numbers or truth values, by number.
        parameters: number of a tensor -> name of the parameter that it is.
        strangers: number of a tensor -> module in which it appeared, that neither a step made nor the network held.
        inputs: numbers of the network's inputs.
        outputs: numbers of the network's outputs.
        times: number of time steps, where still values are repeated for them; 0 where they are not.
        not_zero: where each output of each step was not 0, in the order of the steps; empty unless it was asked for.
    """

    steps: list[Step] = field(default_factory=list)
    shapes: dict[int, torch.Size] = field(default_factory=dict)
    outside: dict[int, Tensor] = field(default_factory=dict)
    parameters: dict[int, str] = field(default_factory=dict)
    strangers: dict[int, str] = field(default_factory=dict)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    times: int = 0
    not_zero: dict[Step, dict[int, Tensor]] = field(default_factory=dict)


class Recorder(TorchDispatchMode):
    """Records a tape while a network runs.

    Args:
        network: without wrappers.
        replaced: name of a parameter -> the tensor that acts in its place.
        keep_not_zero: also record where each tensor is not 0.
    """

    def __init__(
        self, network: nn.Module, *, replaced: Mapping[str, Tensor] | None = None, keep_not_zero: bool = False
    ) -> None:
        super().__init__()
        self.tape = Tape()
        self.where: list[str] = []
        self._keep = keep_not_zero
        self._numbers: Any = WeakIdKeyDictionary()
        self._place: Any = None
        self._within = 0
        self._recurrent = {
            name for name, module in named_plain_modules(network) if isinstance(module, nn.RNNBase | nn.RNNCellBase)
        }
        self._parameters = {id(parameter): name for name, parameter in plain_parameters(network)}
        self._stored = {_memory(parameter): name for name, parameter in plain_parameters(network)}  # weight.data
        self._held = {id(tensor) for tensor in held_by(network)}
        self._replaced = dict(replaced or {})

    def number(self, tensor: Tensor, *, made: bool = False) -> int:
        """Return the number of a tensor, a new one if it is seen for the first time."""
        if (known := self._numbers.get(tensor)) is not None:
            return known
        index = len(self.tape.shapes)
        self._numbers[tensor] = index
        self.tape.shapes[index] = tensor.shape
        if not made or not (tensor.is_floating_point() or tensor.is_complex()):
            self.tape.outside[index] = tensor
        if (name := self._parameters.get(id(tensor)) or self._stored.get(_memory(tensor))) is not None:
            self.tape.parameters[index] = name
        elif not made and tensor.is_floating_point() and tensor.numel() > 1 and id(tensor) not in self._held:
            self.tape.strangers[index] = self.where[-1] if self.where else ""
        return index

    def _acting(self, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        name = self._parameters.get(id(leaf)) or self._stored.get(_memory(leaf))
        return leaf if name is None else self._replaced.get(name, leaf)

    def _refs(self, tree: Any) -> Any:
        return tree_map(lambda leaf: Ref(self.number(leaf)) if isinstance(leaf, Tensor) else leaf, tree)

    def _note(self, step: Step, leaves: list[Any]) -> None:
        self.tape.steps.append(step)
        if self._keep:  # at this step: an operator in place may change a tensor later
            self.tape.not_zero[step] = {
                index: (leaf != 0).cpu() for index, leaf in zip(step.outputs, leaves, strict=True) if index is not None
            }

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator, and record it."""
        kwargs = kwargs or {}
        refs, named = self._refs(args), self._refs(kwargs)
        if self._replaced:
            args, kwargs = (tree_map(self._acting, tree) for tree in (args, kwargs))
        result = func(*args, **(kwargs or {}))
        leaves, _ = tree_flatten(result)
        outputs = tuple(self.number(leaf, made=True) if isinstance(leaf, Tensor) else None for leaf in leaves)
        mutated: tuple[int, ...] = ()
        if func._schema.is_mutable:
            changed = [
                argument.alias_info is not None and argument.alias_info.is_write for argument in func._schema.arguments
            ]
            values = [ref for ref, is_changed in zip(refs, changed, strict=False) if is_changed]
            mutated = tuple(ref.index for ref in values if isinstance(ref, Ref))
        kind, name = kind_of(func), base_name(func)
        within = self._position(sys._getframe(1))
        needed = kind == "contract" or name in ACTIVATIONS or name in COMPARISONS
        site = () if not needed or self.where[-1] in self._recurrent else (*_site(), within)
        self._note(Step(kind, name, func, refs, named, outputs, mutated, self.where[-1], site), leaves)
        return result

    def _position(self, frame: FrameType) -> int:
        """Return how many operators the same call from Python has run before; several run in one attention."""
        place = (id(frame), frame.f_lasti, len(self.where), self.where[-1])
        self._within = self._within + 1 if place == self._place else 0
        self._place = place
        return self._within

    def run_neuron(self, module: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run a neuron module as one step."""
        refs, named = self._refs(args), self._refs(kwargs)
        with _disable_current_modes():
            result = forward(*args, **kwargs)
        memories = [value for value in getattr(module, "_memories", {}).values() if isinstance(value, Tensor)]
        leaves = [*tree_flatten(result)[0], *memories]  # a potential may be read afterwards
        outputs = tuple(self.number(leaf, made=True) if isinstance(leaf, Tensor) else None for leaf in leaves)
        step = Step(
            "neuron", type(module).__name__, None, refs, named, outputs, (), self.where[-1], _site(), neuron=module
        )
        self._note(step, leaves)
        return result


def _site() -> Site:
    """Return where the running call stands, from here outwards to the function `record`."""
    frame: FrameType | None = sys._getframe(2)
    found: list[Any] = []
    while frame is not None and frame.f_code is not _recorded_call.__code__:
        found.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return tuple(found)


def _recorded_call(network: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return network(*args, **kwargs)


def _memory(tensor: Tensor) -> tuple[Any, ...] | None:
    """Return where a tensor lies in memory, and how; None for one without memory of its own."""
    try:
        return tensor.data_ptr() or id(tensor), tensor.shape, tensor.stride()
    except RuntimeError:
        return None


def held_by(network: nn.Module) -> Iterator[Tensor]:
    """Yield the tensors that a network holds: parameters, buffers, the state of neurons, and attributes."""
    for module in network.modules():
        values = {**module.__dict__, **module._parameters, **module._buffers, **getattr(module, "_memories", {})}
        yield from (leaf for leaf in tree_flatten(values)[0] if isinstance(leaf, Tensor))


def plain_parameters(network: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return the parameters with their names in the plain network, each tensor once."""
    found: dict[int, tuple[str, nn.Parameter]] = {}
    for module_name, module in named_plain_modules(network):
        for name, parameter in module._parameters.items():
            if parameter is not None:
                found.setdefault(id(parameter), (f"{module_name}.{name}".lstrip("."), parameter))
    return list(found.values())


def is_neuron(module: nn.Module) -> bool:
    """Return whether a module is a neuron of SpikingJelly, or derived from one, without synapses of its own."""
    ours = (kind.__module__.startswith("spikingjelly.activation_based.neuron") for kind in type(module).__mro__)
    if not any(ours):
        return False
    return not any(isinstance(part, nn.Linear | nn.modules.conv._ConvNd) for part in module.modules())


@contextmanager
def observed(network: nn.Module, recorder: Any) -> Iterator[None]:
    """Let a recorder know in which module the network is, and run its neurons as one step each.

    Args:
        network: without wrappers; left as it was.
        recorder: has a list `where` of module names, the innermost last, and `run_neuron`.
    """
    with ExitStack() as stack:
        for name, module in named_plain_modules(network):

            def enter(_module: nn.Module, _args: Any, name: str = name) -> None:
                recorder.where.append(name)

            def leave(_module: nn.Module, _args: Any, _output: Any) -> None:
                recorder.where.pop()

            if isinstance(module, torch.jit.ScriptModule):
                continue  # takes no hooks; its operators are seen
            stack.callback(module.register_forward_pre_hook(enter).remove)
            stack.callback(module.register_forward_hook(leave).remove)
            if is_neuron(module):
                stack.enter_context(_as_one_step(module, recorder))
        stack.enter_context(plain_kernels(network))
        yield


@contextmanager
def _as_one_step(module: nn.Module, recorder: Any) -> Iterator[None]:
    own, forward = "forward" in module.__dict__, module.forward
    object.__setattr__(module, "forward", lambda *args, **kwargs: recorder.run_neuron(module, forward, args, kwargs))
    try:
        yield
    finally:
        if own:
            object.__setattr__(module, "forward", forward)
        else:
            object.__delattr__(module, "forward")


@contextmanager
def plain_kernels(network: nn.Module) -> Iterator[None]:
    """Let attention and recurrent layers compute in steps that can be seen, not in one fused kernel."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    fast, onednn, cudnn = (
        torch.backends.mha.get_fastpath_enabled(),
        torch._C._get_mkldnn_enabled(),
        torch.backends.cudnn.enabled,
    )
    recurrent = any(isinstance(module, nn.RNNBase) for module in network.modules())
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        if recurrent:
            torch._C._set_mkldnn_enabled(False)
            torch._C._set_cudnn_enabled(False)
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch._C._set_mkldnn_enabled(onednn)
        torch._C._set_cudnn_enabled(cudnn)


def record_tape(
    network: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    replaced: Mapping[str, Tensor] | None = None,
    keep_not_zero: bool = False,
    failed: list[str] | None = None,
) -> Tape:
    """Run a network without gradients, in evaluation mode and with fresh neurons, and return its tape.

    Args:
        network: without wrappers; left as it was.
        args: of the network.
        kwargs: of the network.
        replaced: name of a parameter -> the tensor that acts in its place.
        keep_not_zero: also record where each tensor is not 0.
        failed: takes the names of the modules in which the network is when it fails, the innermost last.
    """
    recorder = Recorder(network, replaced=replaced, keep_not_zero=keep_not_zero)
    if failed is not None:
        recorder.where = failed
    recorder.where.append("")
    with torch.no_grad(), undisturbed(network), observed(network, recorder), recorder:
        recorder.tape.inputs = [
            recorder.number(leaf) for leaf in tree_flatten((args, dict(kwargs)))[0] if isinstance(leaf, Tensor)
        ]
        recorder.tape.strangers.clear()
        result = _recorded_call(network, args, kwargs)
        leaves = tree_flatten(result)[0]
        recorder.tape.outputs = [recorder.number(leaf) for leaf in leaves if isinstance(leaf, Tensor)]
        for leaf in leaves:  # an output that no step made is a constant
            if isinstance(leaf, Tensor):
                recorder.number(leaf)
    return recorder.tape
