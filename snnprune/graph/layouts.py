"""Axes of samples and time steps of a network's inputs: found by looking what depends on what, never guessed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError, shortened
from ..probe import Inputs, takes_inputs
from .replay import Shadow, operands_of, replay
from .stamps import Stamps, is_multi, latest, repeats, stamp_of
from .tape import Step, Tape, record_tape

# Number of samples in the runs that find out what depends on what.
SAMPLES = 2
NAMES = ("B", "TB", "BT")
LEFT = "values leave torch in {}, through NumPy or the like, and cannot be followed: use torch there"
# (layout, tape) -> what visits each step of a replay with the shadows of its inputs.
Follow = Callable[["Layout", Tape], Callable[[Step, list[Shadow]], None]]


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

    def stamps(self, tape: Tape) -> Stamps:
        """Return the rules that stamp a tape of `SAMPLES` samples."""
        return Stamps(SAMPLES, dict(zip(tape.inputs, self.axes, strict=True)), times=tape.times)


def find_layout(
    network: nn.Module,
    inputs: Inputs,
    layout: Any = None,
    *,
    labels: int | None = None,
    mixed: bool = False,
    follow: Follow | None = None,
) -> tuple[Layout, Tape]:
    """Find the axes of samples and time steps, by looking which outputs depend on one sample alone.

    Args:
        network: without wrappers.
        inputs: of it.
        layout: "B", "TB" or "BT" (with or without "..." behind), one for all inputs or one each; None: find out.
        labels: number of labels that come with the inputs, if there are any; it decides where the network does not.
        mixed: samples need not be told apart; where they cannot be, no axis is named, and all of them are run.
        follow: is given each layout that is tried with its tape, and returns what visits the replay of the tape.

    Returns:
        the layout, and the tape of a run with `SAMPLES` samples.

    Raises:
        InputError: the network does not take the inputs, samples that mix, a layout that is wrong or cannot be told.
    """
    if layout is not None:
        named = _named(layout, inputs)
        tape = recorded(network, inputs.taken(named.samples, SAMPLES))
        if reason := _misfit(tape, named, follow, asked=True):
            raise InputError(f"layout {', '.join(named.names())} does not fit {type(network).__name__}: {reason}")
        return named, tape
    try:
        return _found(network, inputs, labels, follow)
    except InputError:
        if not mixed:
            raise
    unknown, tape = Layout(tuple((None, None) for _ in inputs.tensors())), recorded(network, inputs)
    _misfit(tape, unknown, follow)
    return unknown, tape


def _found(network: nn.Module, inputs: Inputs, labels: int | None, follow: Follow | None) -> tuple[Layout, Tape]:
    reasons = []
    for batch in (1, 0) if uses_steps(network) else (0, 1):
        layouts = list(_layouts(inputs, batch))
        if not layouts:
            continue
        try:
            tape = recorded(network, inputs.taken(layouts[0].samples, SAMPLES))
        except InputError as error:
            reasons.append(str(error))
            continue
        free = batch == 1 or _is_free(tape)
        for layout in layouts if free else layouts[-1:]:
            reason = _misfit(tape, layout, follow)
            if not reason:
                if free and layout.names()[0] == "B":
                    _check_clear(network, inputs, tape, labels)
                return layout, tape
            reasons.append(reason)
    raise InputError(reasons[0] if reasons else f"an input must hold samples, found {inputs.described()}")


def uses_steps(network: nn.Module) -> bool:
    """Return whether a network has modules in SpikingJelly's multi-step mode, whose inputs are [T, B, ...]."""
    return any(getattr(module, "step_mode", "s") == "m" for module in network.modules())


def _layouts(inputs: Inputs, batch: int) -> Iterator[Layout]:
    """Yield the layouts with this axis of samples; those with an axis of time first."""
    for time in (0,) if batch == 1 else (1, None):
        axes: list[tuple[int | None, int | None]] = []
        for tensor in inputs.tensors():
            least = 2 if batch == 0 or not tensor.is_floating_point() else 3
            has_time = time == 0 or (time == 1 and tensor.dim() > 2 and tensor.shape[1] > 1)
            fits = tensor.dim() >= (least if batch else 1)
            axes.append((batch, time if has_time else None) if fits else (None, None))
        if any(sample is not None for sample, _ in axes) and (time is None or any(at is not None for _, at in axes)):
            yield Layout(tuple(axes))


def _named(layout: Any, inputs: Inputs) -> Layout:
    tensors = inputs.tensors()
    if isinstance(layout, Mapping):
        layout = [layout.get(name, "") for name in inputs.kwargs]
    several = list(layout) if isinstance(layout, tuple | list) else [layout] * len(tensors)
    if len(several) != len(tensors):
        raise InputError(f"layout must name the axes of {len(tensors)} inputs, found {shortened(layout)}")
    axes = []
    for entry, tensor in zip(several, tensors, strict=True):
        plain = entry.rstrip(". ") if isinstance(entry, str) else "?"
        if plain not in (*NAMES, "") or len(plain) > tensor.dim():
            raise InputError(f"layout must be 'B', 'TB' or 'BT' for {list(tensor.shape)}, found {shortened(entry)}")
        axes.append((plain.index("B") if "B" in plain else None, plain.index("T") if "T" in plain else None))
    return Layout(tuple(axes))


def _is_free(tape: Tape) -> bool:
    """Return whether the second axis of the inputs may be one of time steps or samples: no first layer mixes it."""
    axes = {index: (None, 1) for index in tape.inputs if len(tape.shapes[index]) > 1 and tape.shapes[index][1] > 1}
    if not axes:
        return False
    mixed = False

    class Found(Exception):
        """Ends the replay at the first linear map of the inputs."""

    def look(step: Step, parts: list[Shadow]) -> None:
        nonlocal mixed
        if step.kind == "contract" and any(bool(latest(part).any()) for part in parts):
            made = next(index for index in step.outputs if index is not None)
            known = dict(zip(step.inputs(), parts, strict=True))
            _, _, _, summed = rules.contract(step, [known[index] for index in operands_of(step)], tape.shapes[made])
            mixed = bool(summed.any())
            raise Found

    rules = Stamps(SAMPLES, axes)
    with suppress(Found):
        replay(tape, rules, look)
    return not mixed


def _misfit(tape: Tape, layout: Layout, follow: Follow | None, *, asked: bool = False) -> str:
    """Return the reason why a layout does not fit what a network does; empty if it does."""
    tape.times = _times_of(tape, layout)
    times = _Times(layout)
    more = None if follow is None else follow(layout, tape)

    def visit(step: Step, parts: list[Shadow]) -> None:
        times.visit(step, parts)
        if more is not None:
            more(step, parts)

    shadows = replay(tape, layout.stamps(tape), visit)
    samples = [stamp_of(shadows[index], SAMPLES).sample for index in tape.outputs]
    if any(bool((sample == -2).any()) for sample in samples):
        return f"samples mix in {_mixing(tape, shadows)}, so their axis cannot be found"
    if not any(bool((sample >= 0).any()) for sample in samples):
        lost = next(iter(tape.strangers.values()), None)
        return "no output depends on a sample" if lost is None else LEFT.format(lost or "the network")
    if layout.names()[0] == "BT" and not (times.seen or asked):
        return "no neuron shows an axis of time"
    wrong = times.wrong if layout.names()[0] == "BT" else ""  # attention may look ahead in [T, B, ...]
    return f"the steps of {wrong} are not those of the axis of time" if wrong else ""


def _check_clear(network: nn.Module, inputs: Inputs, tape: Tape, labels: int | None) -> None:
    """Make sure that the second axis is not one of samples as well.

    Raises:
        InputError: the network treats the first two axes alike, and labels do not tell.
    """
    first = inputs.tensors()[0]
    if first.dim() < 3 or first.shape[1] == 1 or (labels is not None and first.shape[0] == labels != first.shape[1]):
        return
    several = {index: tape.shapes[index][1] for index in tape.inputs if len(tape.shapes[index]) > 1}
    if len(set(several.values())) > 1:
        return  # the inputs have as many samples each
    size = next(iter(several.values()))
    shadows = replay(tape, Stamps(size, dict.fromkeys(several, (1, None))))
    samples = torch.cat([stamp_of(shadows[index], size).sample.flatten() for index in tape.outputs])
    if bool((samples >= 0).any()) and not bool((samples == -2).any()):
        raise InputError(
            f"the axis of the samples cannot be told: {type(network).__name__} treats the first two axes of "
            f"{list(first.shape)} alike; pass layout='B', 'TB' or 'BT'"
        )


def _times_of(tape: Tape, layout: Layout) -> int:
    """Return the number of time steps for which still values are repeated, as the neurons behind show; 0 for none."""
    neurons = [step for step in tape.steps if step.kind == "neuron" and is_multi(step) and step.inputs()]
    shapes = [tape.shapes[step.inputs()[0]] for step in neurons]
    sizes = {shape[0] for shape in shapes if len(shape)}
    if len(sizes) != 1 or (size := sizes.pop()) < 2:
        return 0
    made = ((step, tape.shapes[index]) for step in tape.steps for index in step.outputs if index is not None)
    if not any(repeats(step, shape, size) for step, shape in made):
        return 0
    check = _Times(layout, always=True)
    replay(tape, Stamps(SAMPLES, dict(zip(tape.inputs, layout.axes, strict=True)), times=size), check.visit)
    return 0 if check.wrong else size


def _mixing(tape: Tape, shadows: Mapping[int, Shadow]) -> str:
    """Return the first operator that mixes samples."""
    for step in tape.steps:
        found = [shadows[index] for index in step.outputs if index is not None and index in shadows]
        if any(bool((stamp_of(shadow, SAMPLES).sample == -2).any()) for shadow in found):
            return f"{step.name} in {step.module or 'the network'}"
    return "the network"


class _Times:
    """Checks that neurons never read a later time step of the inputs than their own."""

    def __init__(self, layout: Layout, *, always: bool = False) -> None:
        self.expected = always or any(time is not None for _, time in layout.axes)
        self.seen, self.wrong = False, ""
        self._calls: dict[object, int] = {}

    def visit(self, step: Step, parts: list[Shadow]) -> None:
        """Check one step of the tape."""
        if step.kind != "neuron" or not self.expected or len(parts) != 1:
            return
        steps = latest(parts[0])
        if is_multi(step):
            own: Tensor = torch.arange(1, len(steps) + 1, dtype=steps.dtype, device="cpu")
            fits = bool(((steps.flatten(1).amax(1) if steps.dim() > 1 else steps) <= own).all())
        else:
            key = (step.neuron, step.site)
            self._calls[key] = self._calls.get(key, 0) + 1
            fits = int(steps.max()) <= self._calls[key]
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


def cut_for(inputs: Inputs, layout: Layout) -> Inputs:
    """Return the inputs of the runs that find out what depends on what: of `SAMPLES` samples, where there are any."""
    return inputs.taken(layout.samples, SAMPLES) if any(axis is not None for axis in layout.samples) else inputs


def check_strangers(network: nn.Module, inputs: Inputs, tape: Tape) -> None:
    """Make sure that tensors that come from nowhere are constants, and no values that left torch in between.

    Args:
        network: without wrappers.
        inputs: of the run that was recorded.
        tape: of that run.

    Raises:
        InputError: one of them changes with the inputs; the module is named.
    """
    if not tape.strangers:
        return
    again = recorded(network, inputs.changed())
    for (index, module), other in zip(tape.strangers.items(), again.strangers, strict=False):
        first, second = tape.outside[index], again.outside[other]
        if first.shape != second.shape or not bool(((first == second) | (first != first)).all()):
            raise InputError(LEFT.format(module or "the network"))
