"""Run a network for measurements and leave it unchanged; find the layers that no spike reaches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .errors import InputError
from .synapses import Exclude, find_synapses, probing

# Parameter name -> scores of its synapses.
Scores = dict[str, Tensor]
# Inputs as the network takes them, with labels [B] where they are needed.
Batches = Iterable[Tensor | tuple[Tensor, Tensor]]

CURE = "give it stronger inputs, lower thresholds, train it first, or exclude these layers"


def weights_of(network: nn.Module, exclude: Exclude) -> Scores:
    """Return the weights of the synapses in float32, detached."""
    return {name: entry.parameter.detach().float() for name, entry in find_synapses(network, exclude=exclude).items()}


def inputs_of(batch: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    """Return the inputs of a batch with or without labels."""
    return batch if isinstance(batch, Tensor) else batch[0]


def first_inputs(batches: Batches) -> Tensor:
    """Return the inputs of the first batch.

    Raises:
        InputError: there is none.
    """
    for batch in batches:
        return inputs_of(batch)
    raise InputError("this criterion needs data, found no batches: pass [inputs, ...]")


@contextmanager
def undisturbed(
    network: nn.Module,
    hook_for: Callable[[nn.Module], Callable[..., Any] | None] = lambda module: None,
    *,
    batch_statistics: bool = False,
) -> Iterator[None]:
    """Do as `probing`, with autocast switched off, and restore the global random state afterwards."""
    devices = {tensor.device for tensor in network.parameters()} | {torch.device("cpu")}
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng([device for device in devices if device.type == "cuda"]))
        for kind in {device.type for device in devices}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(probing(network, hook_for, batch_statistics=batch_statistics))
        yield


class InputMonitor:
    """Records which layers of synapses ever receive an input other than 0.

    Args:
        network: any module.
        exclude: as in `find_synapses`; these layers are not monitored.
    """

    def __init__(self, network: nn.Module, exclude: Exclude) -> None:
        synapses = find_synapses(network, exclude=exclude)
        self.names: Mapping[nn.Module, str] = {entry.module: name for name, entry in synapses.items()}
        self._reached: dict[str, Tensor] = {}

    def hook_for(self, module: nn.Module) -> Callable[..., None] | None:
        """Return the forward hook of a module, or None."""
        return self.record if module in self.names else None

    def record(self, module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        """Record one run of a layer; a forward hook."""
        name = self.names[module]
        reached = inputs[0].detach().any()
        self._reached[name] = self._reached[name] | reached if name in self._reached else reached

    def check(self) -> None:
        """Make sure that every layer was reached.

        Raises:
            InputError: names the layers that were not.
        """
        if silent := [name for name in self.names.values() if not bool(self._reached.get(name, False))]:
            raise InputError(
                f"no spike reaches {', '.join(silent)} on the given batches: the layers before are silent, and the "
                f"scores would carry no information; {CURE}"
            )
