"""Run a network to look into it, without a trace; find the layers that no spike reaches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .errors import InputError
from .synapses import Exclude, find_synapses, probing

# Parameter name -> scores of its synapses.
Scores = dict[str, Tensor]
# Inputs as the network takes them, with labels [B] where a criterion needs those.
Batches = Iterable[Tensor | tuple[Tensor, Tensor]]

CURE = "give it stronger inputs, lower thresholds, train it first, or exclude what is not to be pruned"


def weights_of(network: nn.Module, exclude: Exclude) -> Scores:
    """The weights of the synapses in float32, detached."""
    return {name: entry.parameter.detach().float() for name, entry in find_synapses(network, exclude=exclude).items()}


def inputs_of(batch: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    """The inputs of a batch with or without labels."""
    return batch if isinstance(batch, Tensor) else batch[0]


def first_inputs(batches: Batches) -> Tensor:
    """The inputs of the first batch.

    Raises:
        InputError: there is none.
    """
    for batch in batches:
        return inputs_of(batch)
    raise InputError("this criterion looks at data and was given none: pass [inputs, ...]")


@contextmanager
def undisturbed(
    network: nn.Module,
    hook_for: Callable[[nn.Module], Callable[..., Any] | None] = lambda module: None,
    *,
    batch_statistics: bool = False,
) -> Iterator[None]:
    """As `probing`, in full precision whatever the caller's autocast; the global random numbers stay, too."""
    devices = {tensor.device for tensor in network.parameters()} | {torch.device("cpu")}
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng([device for device in devices if device.type == "cuda"]))
        for kind in {device.type for device in devices}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(probing(network, hook_for, batch_statistics=batch_statistics))
        yield


class SilenceCheck:
    """Finds layers of synapses whose inputs are always zero.

    Args:
        network: any module.
        exclude: as in `find_synapses`; these layers may receive nothing.
    """

    def __init__(self, network: nn.Module, exclude: Exclude) -> None:
        synapses = find_synapses(network, exclude=exclude)
        self.names: Mapping[nn.Module, str] = {entry.module: name for name, entry in synapses.items()}
        self._any: dict[str, Tensor] = {}

    def hook_for(self, module: nn.Module) -> Callable[..., None] | None:
        """The forward hook of a module, or None."""
        return self.note if module in self.names else None

    def note(self, module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        """Forward hook: note whether the inputs hold anything but zeros."""
        name, active = self.names[module], inputs[0].detach().any()
        self._any[name] = self._any[name] | active if name in self._any else active

    def check(self) -> None:
        """Make sure that every layer received a non-zero input.

        Raises:
            InputError: the layers that did not.
        """
        if silent := [name for name in self.names.values() if not bool(self._any.get(name, False))]:
            raise InputError(
                f"no spike reaches {', '.join(silent)} on the given batches: the network is silent before it and the "
                f"scores would say nothing; {CURE}"
            )
