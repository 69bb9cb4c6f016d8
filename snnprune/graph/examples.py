"""Examples as a network takes them, and the axes of their samples and time steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import InputError, shortened
from ..probe import Inputs, takes_inputs
from .replay import Shadow, replay
from .stamps import Stamps, stamp_of
from .tape import Step, Tape, record_tape

# Number of samples in the runs that find out what depends on what.
SAMPLES = 3
LAYOUTS = ("B", "TB", "BT")


@dataclass(frozen=True)
class Layout:
    """Axes of each input tensor: of its samples and of its time steps; None where there is none."""

    axes: tuple[tuple[int | None, int | None], ...]

    @property
    def samples(self) -> list[int | None]:
        """Axis of the samples of each tensor."""
        return [batch for batch, _ in self.axes]

    def names(self) -> tuple[str, ...]:
        """Return "B", "TB", "BT" or "" for each tensor."""
        return tuple(
            "" if batch is None else "B" if time is None else "TB" if time < batch else "BT"
            for batch, time in self.axes
        )


def find_layout(
    network: nn.Module, inputs: Inputs, layout: Any = None, *, labels: int | None = None, mixed: bool = False
) -> tuple[Layout, Tape, Stamps]:
    """Find the axes of samples and time steps, by looking which outputs depend on one sample alone.

    Args:
        network: without wrappers.
        inputs: of it.
        layout: "B", "TB" or "BT" (with or without "..." behind), one for all inputs or one each; None: find out.
        labels: number of labels that come with the inputs, if there are any; it decides where the network does not.
        mixed: samples need not be told apart; where they cannot be, no axis is named, and all of them are run.

    Returns:
        the layout, the tape of a run with `SAMPLES` samples, and the stamps to replay it with.

    Raises:
        InputError: the network does not take the inputs, samples that mix, a layout that is wrong or cannot be told.
    """
    if layout is not None:
        named = _named(layout, inputs)
        tape, stamps, reason = _try(network, inputs, named, asked=True)
        if reason:
            raise InputError(f"layout {', '.join(named.names())} does not fit {type(network).__name__}: {reason}")
        return named, tape, stamps
    found, reasons = [], []
    for candidate in _candidates(network, inputs):
        try:
            tape, stamps, reason = _try(network, inputs, candidate)
        except InputError as error:
            reasons.append(str(error))
            continue
        if reason:
            reasons.append(reason)
        else:
            found.append((candidate, tape, stamps))
    try:
        return _chosen(network, inputs, found, reasons, labels)
    except InputError:
        if not mixed:
            raise
    unknown = Layout(tuple((None, None) for _ in inputs.tensors()))
    tape = recorded(network, inputs)
    return unknown, tape, Stamps(SAMPLES, dict(zip(tape.inputs, unknown.axes, strict=True)))


def _chosen(
    network: nn.Module, inputs: Inputs, found: list[Any], reasons: list[str], labels: int | None
) -> tuple[Layout, Tape, Stamps]:
    if not found:
        raise InputError(reasons[0])
    sizes = {id(entry): inputs.sizes(entry[0].samples)[0] for entry in found}
    if labels is not None and labels in sizes.values():
        found = [entry for entry in found if sizes[id(entry)] == labels]
    if len({candidate.samples[0] for candidate, _, _ in found}) > 1:
        if uses_steps(network):  # SpikingJelly's order in multi-step mode
            return next(entry for entry in found if entry[0].names()[0] == "TB")
        shapes = inputs.described()
        raise InputError(
            f"the axis of the samples cannot be told: {type(network).__name__} treats the first two axes of {shapes} "
            "alike; pass layout='B', 'TB' or 'BT'"
        )
    return found[0]


def uses_steps(network: nn.Module) -> bool:
    """Return whether a network has modules in SpikingJelly's multi-step mode."""
    return any(getattr(module, "step_mode", "s") == "m" for module in network.modules())


def _candidates(network: nn.Module, inputs: Inputs) -> list[Layout]:
    """Return the layouts to be tried; those with an axis of time before those without."""
    found = []
    for batch, time in ((0, 1), (0, None), (1, 0)):
        axes = tuple(
            (batch, time if time == 0 or (tensor.dim() > 2 and tensor.shape[1] > 1) else None)
            if tensor.dim() > (batch + 1 if tensor.is_floating_point() and batch else batch)
            else (None, None)
            for tensor in inputs.tensors()
        )
        if any(batch is not None for batch, _ in axes):
            found.append(Layout(axes))
    return found


def _named(layout: Any, inputs: Inputs) -> Layout:
    tensors = inputs.tensors()
    if isinstance(layout, Mapping):
        layout = [layout.get(name, "") for name in inputs.kwargs]
    several = list(layout) if isinstance(layout, tuple | list) else [layout] * len(tensors)
    if len(several) != len(tensors):
        raise InputError(f"layout must name the axes of {len(tensors)} inputs, found {shortened(layout)}")
    axes = []
    for entry, tensor in zip(several, tensors, strict=True):
        plain = entry.rstrip(". ") if isinstance(entry, str) else entry
        if plain not in (*LAYOUTS, "") or len(plain) > tensor.dim():
            raise InputError(f"layout must be 'B', 'TB' or 'BT' for {list(tensor.shape)}, found {shortened(entry)}")
        axes.append((plain.index("B") if "B" in plain else None, plain.index("T") if "T" in plain else None))
    return Layout(tuple(axes))


def _try(network: nn.Module, inputs: Inputs, layout: Layout, *, asked: bool = False) -> tuple[Tape, Stamps, str]:
    """Return the tape and the stamps of a layout, and the reason why it does not fit; empty if it does."""
    cut = inputs.taken(layout.samples, SAMPLES)
    tape = recorded(network, cut)
    stamps = Stamps(SAMPLES, dict(zip(tape.inputs, layout.axes, strict=True)))
    times = _Times(layout)
    shadows = replay(tape, stamps, times.visit)
    samples = [stamp_of(shadows[index], SAMPLES).sample for index in tape.outputs]
    fresh = Stamps(SAMPLES, stamps.axes)
    if any(bool((sample == -2).any()) for sample in samples):
        return tape, fresh, f"samples mix in {_mixing(tape, shadows)}, so the axis of the samples cannot be found"
    if not any(bool((sample >= 0).any()) for sample in samples):
        return tape, fresh, "no output depends on a sample"
    if times.expected and layout.names()[0] == "BT" and not (times.seen or asked):
        return tape, fresh, "no neuron shows an axis of time"
    if times.wrong:
        return tape, fresh, f"the steps of {times.wrong} are not those of the axis of time"
    return tape, fresh, ""


def _mixing(tape: Tape, shadows: Mapping[int, Shadow]) -> str:
    """Return the first operator that mixes samples."""
    for step in tape.steps:
        found = [shadows[index] for index in step.outputs if index is not None and index in shadows]
        if any(bool((stamp_of(shadow, SAMPLES).sample == -2).any()) for shadow in found):
            return f"{step.name} in {step.module or 'the network'}"
    return "the network"


class _Times:
    """Checks that the time steps of neurons are those of the inputs."""

    def __init__(self, layout: Layout) -> None:
        self.expected = any(time is not None for _, time in layout.axes)
        self.seen, self.wrong = False, ""
        self._calls: dict[object, int] = {}

    def visit(self, step: Step, parts: list[Shadow]) -> None:
        if step.kind != "neuron" or not self.expected or len(parts) != 1:
            return
        steps = parts[0][2]
        if getattr(step.neuron, "step_mode", "m") == "m":
            right = torch.arange(1, len(steps) + 1, dtype=steps.dtype, device="cpu")
            last = steps.flatten(1).amax(1) if steps.dim() > 1 else steps
            fits = bool((last == right).all()) or not bool(last.any())
        else:
            key = (step.neuron, step.site)
            self._calls[key] = self._calls.get(key, 0) + 1
            fits = int(steps.max()) in (0, self._calls[key])
        self.seen = self.seen or bool(steps.any())
        if not fits:
            self.wrong = self.wrong or f"{step.module or step.name}"


def recorded(network: nn.Module, inputs: Inputs, **options: Any) -> Tape:
    """Return the tape of a run; options as in `record_tape`.

    Raises:
        InputError: the network does not take the inputs; with the module in which it failed.
    """
    where: list[str] = []
    with takes_inputs(network, inputs, where):
        return record_tape(network, inputs.args, inputs.kwargs, failed=where, **options)
