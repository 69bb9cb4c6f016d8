"""Stamps: which sample each element of each tensor belongs to, and at which time step it is known."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .replay import Domain, Shadow
from .tape import Step, Tape


class Stamp(NamedTuple):
    """Samples and steps of the elements of a tensor.

    Attributes:
        sample: the sample that each element depends on, int64; -1 for none, -2 for several.
        step: the last time step that each element depends on, int64; -1 for none.
    """

    sample: Tensor
    step: Tensor


class Stamps(Domain):
    """Rules for three numbers of each element, 0 for none.

    The largest number of a sample on which it depends, the same counted from the last sample, and the largest number of
    a time step. A sample's element has one of the first two that fit together; mixed ones do not.

    Args:
        samples: number of samples.
        axes: number of an input on the tape -> (axis of samples, axis of time steps); None for no such axis.
    """

    def __init__(self, samples: int, axes: Mapping[int, tuple[int | None, int | None]]) -> None:
        self.samples = samples
        self.axes = axes
        self._states: dict[object, Shadow] = {}

    def outside(self, tape: Tape, index: int) -> Shadow:
        shape = tape.shapes[index]
        late, early, step = (torch.zeros(shape) for _ in range(3))
        if index in self.axes:
            batch, time = self.axes[index]
            if batch is not None:
                late += _along(torch.arange(1, shape[batch] + 1), batch, len(shape))
                early += _along(torch.arange(shape[batch], 0, -1), batch, len(shape))
            if time is not None:
                step += _along(torch.arange(1, shape[time] + 1), time, len(shape))
        return late, early, step

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

    def neuron(self, step: Step, shadow: Shadow, shape: torch.Size) -> Shadow:
        late, early, time = (part.clone() for part in shadow)
        if getattr(step.neuron, "step_mode", "m") == "m":
            if late.dim() and not is_causal(step):
                late, early = (part.amax(0, keepdim=True).expand(late.shape).clone() for part in (late, early))
            late, early, time = (part.cummax(0).values for part in (late, early, time))
            steps = torch.maximum(time, _along(torch.arange(1, len(time) + 1), 0, time.dim()).to(time))
            if shape != late.shape:  # the last potential, or the like, of all steps
                return late.amax(0), early.amax(0), steps.amax(0)
            return late, early, steps
        if (before := self._states.get(step.neuron)) is not None:
            late, early = torch.maximum(late, before[0]), torch.maximum(early, before[1])
            time = torch.maximum(time, before[2] + 1)
        self._states[step.neuron] = late, early, time.clamp(min=1)
        return self._states[step.neuron]


def is_causal(step: Step) -> bool:
    """Return whether a neuron's output at a step depends on no later step."""
    return type(step.neuron).__name__ != "PSN"


def stamp_of(shadow: Shadow, samples: int) -> Stamp:
    """Return samples and steps of the elements of a tensor."""
    late, early, step = (part.long() for part in shadow)
    single = late + early == samples + 1
    return Stamp(torch.where(late == 0, -1, torch.where(single, late - 1, -2)), step - 1)


def _along(values: Tensor, axis: int, rank: int) -> Tensor:
    shape = [1] * rank
    shape[axis] = -1
    return values.view(shape)
