"""Run a network for measurements and leave it unchanged; find the layers that no spike reaches."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .errors import InputError, shortened
from .synapses import Exclude, find_synapses, probing

# Parameter name -> scores of its synapses.
Scores = dict[str, Tensor]
# Inputs as the network takes them, or (inputs, labels [B]).
Batch = Tensor | tuple[Tensor, Tensor]
Batches = Iterable[Batch]

CURE = "give it stronger inputs, lower thresholds, train it first, or exclude these layers"


def weights_of(network: nn.Module, exclude: Exclude) -> Scores:
    """Return the weights of the synapses, detached, in float32, or float64 if that is their own type."""
    return {name: widened(entry.parameter.detach()) for name, entry in find_synapses(network, exclude=exclude).items()}


def widened(tensor: Tensor) -> Tensor:
    """Return numbers as they are in float32 or float64; narrower ones in float32, which is exact."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


# --- Batches


def batches_of(batches: Batches, *, labelled: bool = False) -> list[Batch]:
    """Return all batches as a list, each checked as by `check_batch`; a generator is read once.

    Raises:
        InputError: as `check_batch`; or a tensor, or (inputs, labels), that is not in a list.
    """
    return list(each_batch(batches, labelled=labelled))


def each_batch(batches: Batches, *, labelled: bool = False) -> Iterator[Batch]:
    """Yield batches, each checked as by `check_batch`, without holding them all in memory.

    Raises:
        InputError: as `batches_of`.
    """
    if isinstance(batches, Tensor):
        raise InputError(f"batches must be a list of batches, found {shortened(batches)}: pass [inputs]")
    if not isinstance(batches, Iterable) or isinstance(batches, str | bytes | Mapping):
        raise InputError(f"batches must be a list of batches, found {shortened(batches)}: pass [inputs, ...]")
    if isinstance(batches, tuple) and len(batches) == 2 and _are_inputs_and_labels(*batches):
        raise InputError("batches must be a list of batches, found (inputs, labels): pass [(inputs, labels)]")
    for batch in batches:
        yield check_batch(batch, labelled=labelled)


def check_batch(batch: Batch, *, labelled: bool = False) -> Batch:
    """Return a batch with its labels in int64, after a check.

    Args:
        batch: inputs [B, ...] or [T, B, ...], or (inputs, labels [B]).
        labelled: whether labels are needed; otherwise they are ignored, whatever they are.

    Raises:
        InputError: another kind of batch, no samples, no labels where they are needed, labels that are not whole
            numbers [B] from 0 on, or not as many as inputs; the message says how to make them of what was found.
    """
    parts = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
    if len(parts) not in (1, 2) or not isinstance(parts[0], Tensor):
        kinds = shortened(batch) if len(parts) == 1 else f"({', '.join(type(part).__name__ for part in parts)})"
        raise InputError(f"each batch must be a tensor of inputs or a pair (inputs, labels), found {kinds[:100]}")
    inputs = parts[0]
    if inputs.dim() == 0 or inputs.is_nested or inputs.numel() == 0:
        found = "a nested tensor" if inputs.is_nested else f"one of shape {list(inputs.shape)}"
        raise InputError(f"every batch must hold samples, found {found}")
    if not labelled:
        return inputs if len(parts) == 1 else (inputs, parts[1])
    if len(parts) == 1:
        raise InputError("this criterion needs labels, found inputs alone: pass [(inputs, labels), ...]")
    return inputs, _checked_labels(inputs, parts[1])


def check_classes(output: Tensor, labels: Tensor) -> None:
    """Make sure that there is an output for each label.

    Args:
        output: [T, B, classes] or [B, classes].
        labels: [B], 0 or more.

    Raises:
        InputError: a label that is no index of an output.
    """
    classes = output.shape[-1] if output.dim() >= 2 else math.inf
    if (highest := int(labels.max())) >= classes:
        raise InputError(f"labels must be from 0 to {classes - 1}, for {classes} outputs: found {highest}")


def inputs_of(batch: Batch) -> Tensor:
    """Return the inputs of a batch with or without labels."""
    return batch if isinstance(batch, Tensor) else batch[0]


def first_inputs(batches: Batches) -> Tensor:
    """Return the inputs of the first batch.

    Raises:
        InputError: there is none, or as `each_batch`.
    """
    for batch in each_batch(batches):
        return inputs_of(batch)
    raise InputError("this criterion needs data, found no batches: pass [inputs, ...]")


def _are_inputs_and_labels(first: object, second: object) -> bool:
    if not (isinstance(first, Tensor) and isinstance(second, Tensor)):
        return False
    return second.dim() <= 1 < first.dim() or (first.is_floating_point() and not second.is_floating_point())


def _checked_labels(inputs: Tensor, labels: Any) -> Tensor:
    if not isinstance(labels, Tensor):
        raise InputError(f"labels must be a tensor, found {shortened(labels)}: pass torch.as_tensor(labels)")
    if labels.dim() != 1:
        single = labels.dim() == 2 and labels.shape[1] == 1
        cure = "labels.squeeze(1)" if single else "labels.argmax(1) if they are one-hot"
        raise InputError(f"labels must be of shape [B], found {list(labels.shape)}: pass {cure}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InputError(f"labels must be whole numbers, found {labels.dtype}: pass labels.long()")
    if len(labels) not in inputs.shape[:2]:
        raise InputError(
            f"{len(labels)} labels do not fit inputs of shape {tuple(inputs.shape)}: pass [B, ...] or [T, B, ...]"
        )
    if int(labels.min()) < 0:
        raise InputError(f"labels must be 0 or more, found {int(labels.min())}")
    return labels.long()


# --- Runs


def need_autograd(network: nn.Module) -> None:
    """Make sure that gradients can be computed.

    Raises:
        InputError: torch.inference_mode() is on, or parts of the network were made in it.
    """
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    if torch.is_inference_mode_enabled() or any(tensor.is_inference() for tensor in tensors.values()):
        raise InputError(
            "this needs gradients, and there are none in torch.inference_mode(), nor of a network made in it: "
            "leave it, and make the network outside"
        )


def run(network: Callable[..., Any], inputs: Tensor, *, of: nn.Module) -> Tensor:
    """Return a network's output.

    Args:
        network: what is called: a module, or a function that runs one with other weights.
        inputs: as the network takes them.
        of: the module, for messages.

    Raises:
        InputError: the network does not take such inputs, or returns no tensor.
    """
    kind = type(of).__name__
    try:
        output = network(inputs)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, IndexError, AssertionError) as error:
        reason, _, _ = str(error).partition("\n")
        raise InputError(f"{kind} does not take inputs {list(inputs.shape)}, {inputs.dtype}: {reason}") from error
    if not isinstance(output, Tensor):
        raise InputError(f"{kind} must return a tensor, found {shortened(output)}: wrap it in a module that does")
    return output


@contextmanager
def undisturbed(
    network: nn.Module,
    hook_for: Callable[[nn.Module], Callable[..., Any] | None] = lambda module: None,
    *,
    batch_statistics: bool = False,
) -> Iterator[None]:
    """Do as `probing`, and restore the global random state afterwards."""
    devices = {tensor.device for tensor in network.parameters()} | {torch.device("cpu")}
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng([device for device in devices if device.type == "cuda"]))
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
