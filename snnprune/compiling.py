"""torch.compile where there is a working compiler."""

import logging
from collections.abc import Callable
from types import FunctionType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .strides import keep_strides

logger = logging.getLogger(__name__)


class CompiledOrEager:
    """Calls the compiled form of something; if its first call fails, the thing itself from then on.

    The first failure in a process is logged in one line; later ones are not, since their cause is the same.

    Args:
        eager: a module or function.
        options: for torch.compile.
    """

    _logged = False

    def __init__(self, eager: Callable[..., Any], **options: Any) -> None:
        # The backends log their own problems (no GPU, no Triton) on the first call; our one line is enough.
        for name in ("torch._library.triton", "torch.utils.cpp_extension"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._eager, self._call, self._proven = eager, torch.compile(eager, **options), False

    def __call__(self, *args: Any) -> Any:
        if self._proven:
            return self._call(*args)
        try:
            result = self._call(*args)
        except Exception as error:  # whatever a missing or broken compiler raises
            if not CompiledOrEager._logged:
                reason = (str(error).strip().splitlines() or [""])[0][:120]
                logger.warning(
                    "continuing without torch.compile, which failed here (%s: %s)", type(error).__name__, reason
                )
                CompiledOrEager._logged = True
            self._call = self._eager
            result = self._eager(*args)
        self._proven = True
        return result


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Arithmetic as one pass over memory. Numbers in lists become tensors: they change from step to step.

    Args:
        function: takes tensors, numbers that never change, and lists of tensors or numbers.
    """
    fast = CompiledOrEager(function, dynamic=False)

    def call(*arguments: Any) -> Any:
        return fast(*([_as_tensor(value) for value in a] if isinstance(a, list) else a for a in arguments))

    return call


def _as_tensor(value: Any) -> Any:
    return torch.as_tensor(value) if isinstance(value, int | float) else value


Compile = Literal["auto", "on", "off"]
# Compiling a network takes 10 to 60 s, its neurons alone about 10: in fewer steps that does not pay.
WORTHWHILE_STEPS = 2000
WORTHWHILE_STEPS_OF_NEURONS = 500


def forward_of(network: nn.Module, mode: Compile, *, steps: int) -> Callable[..., Any]:
    """The callable that stands for a network in a training of `steps` steps.

    A network with convolutions on a CPU has only its spiking neurons compiled: convolution, batch normalisation and
    pooling are faster as PyTorch has them. Any other network is compiled whole.

    Args:
        network: any module, on its device.
        mode: "on" compiles, and if there is no spiking neuron, the whole; "off" does not; "auto" compiles if the
            training is long enough to pay for that, and goes on without, saying so in one line, where there is no
            working compiler.
        steps: optimizer steps of the training.

    Returns:
        The network itself, or what calls a compiled form of it; parameters, buffers and the neurons' state are shared.
    """
    convolves = _convolves_on_cpu(network)
    neurons = _neurons(network) if convolves else []
    pays = steps >= (WORTHWHILE_STEPS_OF_NEURONS if neurons else WORTHWHILE_STEPS) and (bool(neurons) or not convolves)
    if mode == "off" or (mode == "auto" and not pays):
        return network
    compiled = torch.compile if mode == "on" else CompiledOrEager
    return _WithCompiledNeurons(network, neurons, compiled) if neurons else compiled(network)


class _WithCompiledNeurons:
    """Calls a network whose neurons are compiled during the call, and as they were outside of it."""

    def __init__(self, network: nn.Module, neurons: list[nn.Module], compiled: Callable[..., Any]) -> None:
        self.network = network
        self.calls = [(neuron, _compile_neuron(neuron, compiled)) for neuron in neurons]

    def __call__(self, *args: Any) -> Any:
        for neuron, call in self.calls:
            neuron.forward = call
        try:
            return self.network(*args)
        finally:
            for neuron, _ in self.calls:
                del neuron.forward  # that of its class is there again


def _compile_neuron(neuron: nn.Module, compiled: Callable[..., Any]) -> Callable[..., Tensor]:
    def forward(*args: Any) -> Tensor:
        return type(neuron).forward(neuron, *args)

    # torch.compile gives up on code that it has compiled eight times: each neuron has code of its own.
    fast = compiled(FunctionType(forward.__code__.replace(), globals(), closure=forward.__closure__))
    return lambda current, *args: fast(keep_strides(current), *args)


def _neurons(network: nn.Module) -> list[nn.Module]:
    from spikingjelly.activation_based import neuron

    found = [module for module in network.modules() if isinstance(module, neuron.BaseNode)]
    return [module for module in found if "forward" not in vars(module)]


def _convolves_on_cpu(network: nn.Module) -> bool:
    convolutions = [module for module in network.modules() if isinstance(module, nn.modules.conv._ConvNd)]
    return any(module.weight.device.type == "cpu" for module in convolutions)
