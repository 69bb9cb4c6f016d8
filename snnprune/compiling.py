"""torch.compile for networks and for arithmetic, with a fallback where there is no working compiler."""

import logging
from collections.abc import Callable
from types import FunctionType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .options import CountOrZero, checked
from .strides import keep_strides

logger = logging.getLogger(__name__)

Compile = Literal["auto", "on", "off"]
# Compiling a whole network takes 10 to 60 s, its neurons alone about 10 s: shorter trainings do not earn that back.
WORTHWHILE_STEPS = 2000
WORTHWHILE_STEPS_OF_NEURONS = 500


@checked
def forward_of(network: nn.Module, mode: Compile, *, steps: CountOrZero) -> Callable[..., Any]:
    """Return what to call in place of a network while it is trained.

    In a network with convolutions on a CPU only the spiking neurons are compiled: PyTorch's own convolution, batch
    normalisation and pooling are faster there. Any other network is compiled whole.

    Args:
        network: any module, on its device.
        mode: "on" compiles (the whole network if it has no spiking neuron); "off" does not; "auto" compiles if the
            training is long enough to earn the time back, and continues without torch.compile, with one warning,
            where there is no working compiler.
        steps: optimizer steps of the training.

    Returns:
        The network itself, or a callable compiled from it that shares its parameters, buffers and neuron state.

    Raises:
        InputError: another mode, or a negative number of steps.
    """
    convolves = _convolves_on_cpu(network)
    neurons = _neurons(network) if convolves else []
    pays = steps >= (WORTHWHILE_STEPS_OF_NEURONS if neurons else WORTHWHILE_STEPS) and (bool(neurons) or not convolves)
    if mode == "off" or (mode == "auto" and not pays):
        return network
    compiler = torch.compile if mode == "on" else CompiledOrEager
    return _WithCompiledNeurons(network, neurons, compiler) if neurons else compiler(network)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile arithmetic into one pass over memory.

    Args:
        function: takes tensors, numbers that never change, and lists of tensors or numbers. Numbers in lists may change
            from call to call: they are passed as tensors, so that a new value does not compile the function again.
    """
    return _Compiled(function)


class _Compiled:
    """A compiled function that can be copied and pickled: the copy compiles it again."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._fast = CompiledOrEager(function, dynamic=False)

    def __call__(self, *arguments: Any) -> Any:
        return self._fast(*([_as_tensor(value) for value in a] if isinstance(a, list) else a for a in arguments))

    def __reduce__(self) -> tuple[Any, ...]:
        return _Compiled, (self._function,)


class CompiledOrEager:
    """Calls the compiled form of a module or function, or the original if the first compiled call fails.

    Only the first failure in a process is logged: a missing compiler fails for all of them.

    Args:
        eager: a module or function.
        options: for torch.compile.
    """

    _reported = False

    def __init__(self, eager: Callable[..., Any], **options: Any) -> None:
        # The backends log their own warnings (no GPU, no Triton) on the first call; our one line is enough.
        for name in ("torch._library.triton", "torch.utils.cpp_extension"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._eager = eager
        self._call = torch.compile(eager, **options)
        self._proven = False

    def __call__(self, *args: Any) -> Any:
        if self._proven:
            return self._call(*args)
        try:
            result = self._call(*args)
        except Exception as error:  # a missing or broken compiler raises many types
            self._report(error)
            self._call = self._eager
            result = self._eager(*args)
        self._proven = True
        return result

    @staticmethod
    def _report(error: Exception) -> None:
        if not CompiledOrEager._reported:
            reason = (str(error).strip().splitlines() or [""])[0][:120]
            logger.warning("continuing without torch.compile, which failed (%s: %s)", type(error).__name__, reason)
            CompiledOrEager._reported = True


# --- Helpers


class _WithCompiledNeurons:
    """Calls a network whose neurons are compiled for the duration of the call."""

    def __init__(self, network: nn.Module, neurons: list[nn.Module], compiler: Callable[..., Any]) -> None:
        self.network = network
        self.calls = [(neuron, _compile_neuron(neuron, compiler)) for neuron in neurons]

    def __call__(self, *args: Any) -> Any:
        for neuron, call in self.calls:
            neuron.forward = call
        try:
            return self.network(*args)
        finally:
            for neuron, _ in self.calls:
                del neuron.forward  # uncovers the forward method of its class again


def _compile_neuron(neuron: nn.Module, compiler: Callable[..., Any]) -> Callable[..., Tensor]:
    def forward(*args: Any) -> Tensor:
        return type(neuron).forward(neuron, *args)

    # torch.compile gives up on a code object after eight versions of it: each neuron gets a code object of its own.
    fast = compiler(FunctionType(forward.__code__.replace(), globals(), closure=forward.__closure__))
    return lambda current, *args: fast(keep_strides(current), *args)


def _neurons(network: nn.Module) -> list[nn.Module]:
    from spikingjelly.activation_based import neuron

    found = [module for module in network.modules() if isinstance(module, neuron.BaseNode)]
    return [module for module in found if "forward" not in vars(module)]


def _convolves_on_cpu(network: nn.Module) -> bool:
    convolutions = [module for module in network.modules() if isinstance(module, nn.modules.conv._ConvNd)]
    return any(module.weight.device.type == "cpu" for module in convolutions)


def _as_tensor(value: Any) -> Any:
    if not isinstance(value, int | float):
        return value
    return torch.tensor(value, dtype=torch.int64 if isinstance(value, int) else torch.float32, device="cpu")
