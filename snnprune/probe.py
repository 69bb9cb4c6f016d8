"""Batches, checked at one place; runs of a network for measurements, which leave it unchanged."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

from .errors import InputError, shortened
from .options import Converted
from .synapses import Exclude, find_synapses, probing

# Parameter name -> scores of its synapses.
Scores = dict[str, Tensor]
# Inputs as the network takes them (a tensor, or several in a dict), or (inputs, labels [B]); several: ((a, b), labels).
Batch = Any
Batches = Iterable[Batch]

CURE = "give it stronger inputs, lower thresholds, train it first, or exclude these layers"


def weights_of(network: nn.Module, exclude: Exclude) -> Scores:
    """Return the weights of the synapses, detached, in float32, or float64 if that is their own type."""
    return {name: widened(entry.parameter.detach()) for name, entry in find_synapses(network, exclude=exclude).items()}


def widened(tensor: Tensor) -> Tensor:
    """Return numbers as they are in float32 or float64; narrower ones in float32, which is exact."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


# --- Axes


def check_layout(layout: Any) -> Any:
    """Return the axes of a network's inputs as they are given, after a check.

    Args:
        layout: "B" (samples first), "TB" (time steps, then samples), "BT", each with or without "..." behind, "" for an
            input without samples; one for all inputs, or one for each in a tuple, a list or a dict; or None.

    Raises:
        InputError: anything else.
    """
    several = list(layout.values()) if isinstance(layout, Mapping) else layout
    entries = several if isinstance(several, tuple | list) else [layout]
    for entry in entries:
        plain = entry.rstrip(". ") if isinstance(entry, str) else entry
        if not (plain in ("B", "TB", "BT", "") if isinstance(plain, str) else entry is None and entries == [None]):
            raise InputError(f"layout must be 'B', 'TB' or 'BT', or one for each input, found {shortened(entry)}")
    return layout


# The axes of a network's inputs, as an option.
Axes = Annotated[Any, Converted(check_layout)]


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
        batch: inputs [B, ...] or [T, B, ...], or (inputs, labels [B]). Inputs are a tensor, or several: a dict by the
            network's keywords, or ((a, b), labels).
        labelled: whether labels are needed; otherwise they are ignored, whatever they are.

    Raises:
        InputError: another kind of batch, no samples, no labels where they are needed, labels that are not whole
            numbers [B] from 0 on, or not as many as inputs; the message says how to make them of what was found.
    """
    inputs, labels = split_batch(batch)
    if not labelled:
        # Several inputs alone would be taken for (inputs, labels) when they are looked at again.
        return inputs if labels is None and not isinstance(inputs, tuple | list) else (inputs, labels)
    if labels is None:
        raise InputError("this criterion needs labels, found inputs alone: pass [(inputs, labels), ...]")
    return inputs, _checked_labels(Inputs.of(inputs).tensors()[0], labels)


def split_batch(batch: Batch) -> tuple[Any, Any]:
    """Return the inputs and the labels of a batch; None for no labels.

    Raises:
        InputError: neither inputs nor (inputs, labels), or no samples.
    """
    parts = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
    inputs = parts[0] if parts else None
    several = inputs.values() if isinstance(inputs, Mapping) else inputs if isinstance(inputs, tuple | list) else ()
    tensors = [inputs] if isinstance(inputs, Tensor) else list(several)
    if len(parts) not in (1, 2) or not tensors or not all(isinstance(tensor, Tensor) for tensor in tensors):
        kinds = shortened(batch) if len(parts) == 1 else f"({', '.join(type(part).__name__ for part in parts)})"
        raise InputError(
            f"each batch must be a tensor of inputs or a pair (inputs, labels), found {kinds[:100]}; several "
            "inputs are ((a, b), labels), or a dict by keywords"
        )
    for tensor in tensors:
        if tensor.dim() == 0 or tensor.is_nested or tensor.numel() == 0:
            found = "a nested tensor" if tensor.is_nested else f"one of shape {list(tensor.shape)}"
            raise InputError(f"every batch must hold samples, found {found}")
    return inputs, parts[1] if len(parts) == 2 else None


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


def inputs_of(batch: Batch) -> Any:
    """Return the inputs of a batch with or without labels."""
    return split_batch(batch)[0]


def first_batch(batches: Batches) -> Batch:
    """Return the first batch.

    Raises:
        InputError: there is none, or as `each_batch`.
    """
    for batch in each_batch(batches):
        return batch
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


# --- Inputs


# A factor that changes every number but 0.
_OTHER = 0.7


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


@dataclass(frozen=True)
class Inputs:
    """What a network is called with: positional arguments, and keywords."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @classmethod
    def of(cls, inputs: Any) -> "Inputs":
        """Return what a network is called with, for inputs that were checked: one, several, or a dict by keywords."""
        if isinstance(inputs, Mapping):
            return cls((), dict(inputs))
        return cls(tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,), {})

    def tensors(self) -> list[Tensor]:
        """Return the tensors among them, in their order."""
        return [leaf for leaf in tree_flatten((self.args, dict(self.kwargs)))[0] if isinstance(leaf, Tensor)]

    def taken(self, axes: Sequence[int | None], count: int, *, first: int = 0) -> "Inputs":
        """Return the same with `count` samples, the last one repeated where there are fewer.

        Args:
            axes: of each tensor, the axis of its samples.
            count: of samples.
            first: number of the first one.
        """
        left = list(axes)

        def cut(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor) or (axis := left.pop(0)) is None:
                return leaf
            chosen = torch.arange(first, first + count, device=leaf.device).clamp(max=leaf.shape[axis] - 1)
            return leaf.index_select(axis, chosen)

        args, kwargs = tree_map(cut, (self.args, dict(self.kwargs)))
        return Inputs(args, kwargs)

    def changed(self) -> "Inputs":
        """Return inputs of the same shapes with other values: each tensor turned by one element."""

        def turned(leaf: Any) -> Any:
            return leaf.flatten().roll(1).view(leaf.shape) * _OTHER if _is_number(leaf) else leaf

        args, kwargs = tree_map(turned, (self.args, dict(self.kwargs)))
        return Inputs(args, kwargs)

    def sizes(self, axes: Sequence[int | None]) -> list[int]:
        """Return the number of samples of each tensor that has an axis of them."""
        return [tensor.shape[axis] for tensor, axis in zip(self.tensors(), axes, strict=True) if axis is not None]

    def described(self) -> str:
        """Return shapes and types for a message."""
        return ", ".join(f"{list(tensor.shape)}, {tensor.dtype}" for tensor in self.tensors())


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


def run(network: Callable[..., Any], inputs: Any, *, of: nn.Module) -> Any:
    """Return a network's output.

    Args:
        network: what is called: a module, or a function that runs one with other weights.
        inputs: as the network takes them: a tensor, several, or a dict by keywords.
        of: the module, for messages.

    Raises:
        InputError: the network does not take such inputs.
    """
    given = Inputs.of(inputs)
    with takes_inputs(of, given):
        return network(*given.args, **given.kwargs)


@contextmanager
def takes_inputs(network: nn.Module, inputs: Inputs, where: Sequence[str] = ()) -> Iterator[None]:
    """Turn an error of a network into one line about its inputs.

    Args:
        network: of which type the message speaks.
        inputs: that it is run on.
        where: names of the modules in which it is, the innermost last.

    Raises:
        InputError: in place of the network's own error.
    """
    try:
        yield
    except (torch.OutOfMemoryError, InputError):
        raise
    except (RuntimeError, ValueError, IndexError, AssertionError, TypeError, AttributeError, KeyError) as error:
        first, *others = str(error).splitlines() or [type(error).__name__]
        reason = others[-1] if others and first.endswith("(") else first  # after a network that torch prints there
        module = f" (in {where[-1]})" if where and where[-1] else ""
        raise InputError(
            f"{type(network).__name__} does not take inputs {inputs.described()}{module}: {reason}"
        ) from error


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
