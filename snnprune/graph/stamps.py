"""Stamps: which sample each element of each tensor belongs to, and at which time step it is known."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .replay import Domain, Shadow, running_maximum
from .tape import Step, Tape

# Numbers of samples and of time steps; float32 would take twice the time.
DTYPE = torch.int16


class Stamp(NamedTuple):
    """Samples and steps of the elements of a tensor.

    Attributes:
        sample: the sample that each element depends on, int64; -1 for none, -2 for several.
        step: the time step that each element belongs to, int64; -1 for none. A mean over steps belongs to the last.
    """

    sample: Tensor
    step: Tensor


class Stamps(Domain):
    """Rules for four numbers of each element, 0 for none.

    The largest number of a sample on which it depends, and the same counted from the last sample: if the two do not fit
    together, samples mix. The time step that it belongs to, and the last step of what was summed over time on the way,
    which counts where there is no other.

    Args:
        samples: number of samples.
        axes: number of an input on the tape -> (axis of samples, axis of time steps); None for no such axis.
        times: number of time steps of the neurons, if still values that are repeated so often along a first axis are
            taken for a sequence; 0 otherwise.
    """

    def __init__(self, samples: int, axes: Mapping[int, tuple[int | None, int | None]], *, times: int = 0) -> None:
        self.samples = samples
        self.axes = axes
        self.times = times
        self._states: dict[object, Shadow] = {}

    def outside(self, tape: Tape, index: int) -> Shadow:
        shape = tape.shapes[index]
        if index in tape.parameters:  # weights depend on nothing, and may be large
            return (torch.zeros((), dtype=DTYPE, device="cpu").expand(shape),) * 4
        late, early, step, summed = (torch.zeros(shape, dtype=DTYPE, device="cpu") for _ in range(4))
        batch, time = self.axes.get(index, (None, None))
        if batch is not None:
            late += _along(_count(1, shape[batch]), batch, len(shape))
            early += _along(_count(1, shape[batch]).flip(0), batch, len(shape))
        if time is not None:
            step += _along(_count(1, shape[time]), time, len(shape))
        return late, early, step, summed

    def reduce(self, shadow: Shadow, dims: Sequence[int], *, keep: bool) -> Shadow:
        if dims and shadow[0].numel() and not any(shadow[0].stride()):  # one number for all, as for weights
            chosen = {dim % shadow[0].dim() for dim in dims}
            at = tuple((slice(1) if keep else 0) if dim in chosen else slice(None) for dim in range(shadow[0].dim()))
            return tuple(part[at] for part in shadow)
        late, early, step, summed = super().reduce(shadow, dims, keep=keep)
        if not dims or not bool(shadow[2].any()):
            return late, early, step, summed
        first = torch.where(shadow[2] > 0, shadow[2], torch.iinfo(DTYPE).max).amin(tuple(dims), keepdim=keep)
        several = first < step
        return late, early, torch.where(several, 0, step), torch.where(several, torch.maximum(step, summed), summed)

    def contract(self, step: Step, parts: Sequence[Shadow], shape: torch.Size) -> Shadow:
        first, second = parts[0], parts[1]
        if step.name in ("mm", "addmm", "bmm", "baddbmm"):
            rows, columns = self.reduce(first, [-1], keep=True), self.reduce(second, [-2], keep=True)
            return self.union([rows, columns], shape)
        if step.name == "linear":
            return self.union([self.reduce(first, [-1], keep=True), self.reduce(second, [0, 1], keep=False)], shape)
        if "convolution" in step.name:
            images = self.reduce(first, range(1, first[0].dim()), keep=True)
            return self.union([images, self.reduce(second, range(second[0].dim()), keep=False)], shape)
        if step.name == "_trilinear":
            spread = []
            for part, expand in zip(parts, step.args[3:6], strict=True):
                for axis in sorted(expand):
                    part = tuple(component.unsqueeze(axis) for component in part)
                spread.append(part)
            whole = torch.broadcast_shapes(*(part[0].shape for part in spread))
            return self.reduce(self.union(spread, whole), step.args[6], keep=False)
        raise NotImplementedError

    def finish(self, step: Step, index: int, shadow: Shadow) -> Shadow:
        late, early, time, summed = shadow
        if not self.times or not repeats(step, late.shape, self.times) or bool(time.any()) or bool(summed.any()):
            return shadow
        return late, early, time + _along(_count(1, self.times), 0, time.dim()), summed

    def neuron(self, step: Step, shadow: Shadow, shape: torch.Size) -> Shadow:
        late, early = shadow[:2]
        nothing = torch.zeros(shape, dtype=DTYPE, device="cpu")
        if is_multi(step):
            if not is_causal(step):
                late, early = (part.amax(0, keepdim=True).expand(part.shape) for part in (late, early))
            late, early = (running_maximum(part, 0) for part in (late, early))
            if shape != late.shape:  # the last potential, or the like, of all steps
                return late[-1], early[-1], torch.full(shape, len(late), dtype=DTYPE, device="cpu"), nothing
            return late, early, nothing + _along(_count(1, len(late)), 0, late.dim()), nothing
        time = latest(shadow).clamp(min=1)
        if (before := self._states.get(step.neuron)) is not None:
            late, early = torch.maximum(late, before[0]), torch.maximum(early, before[1])
            time = torch.maximum(time, before[2] + 1)
        self._states[step.neuron] = late.clone(), early.clone(), time, nothing
        return self._states[step.neuron]


def repeats(step: Step, shape: Sequence[int], times: int) -> bool:
    """Return whether a step may repeat a value for every time step, along its first axis."""
    return step.name in ("repeat", "expand", "stack") and len(shape) > 1 and shape[0] == times


def is_multi(step: Step) -> bool:
    """Return whether a neuron takes all time steps at once, [T, ...]."""
    return getattr(step.neuron, "step_mode", "m") == "m"


def is_causal(step: Step) -> bool:
    """Return whether a neuron's output at a step depends on no later step."""
    return type(step.neuron).__name__ != "PSN"


def latest(shadow: Shadow) -> Tensor:
    """Return the last time step that each element depends on, counted from 1; 0 for none."""
    return torch.maximum(shadow[2], shadow[3])


def stamp_of(shadow: Shadow, samples: int) -> Stamp:
    """Return samples and steps of the elements of a tensor."""
    late, early, step, summed = (part.long() for part in shadow)
    single = late + early == samples + 1
    return Stamp(torch.where(late == 0, -1, torch.where(single, late - 1, -2)), torch.where(step > 0, step, summed) - 1)


def _count(first: int, last: int) -> Tensor:
    return torch.arange(first, last + 1, dtype=DTYPE, device="cpu")


def _along(values: Tensor, axis: int, rank: int) -> Tensor:
    shape = [1] * rank
    shape[axis] = -1
    return values.view(shape)
