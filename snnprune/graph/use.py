"""Uses of weights: each call of an operator with weights, and what its rows and factors are."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from .graph import Operation, Projection
from .operators import arguments_of
from .replay import Shadow, operands_of
from .stamps import Stamps, stamp_of
from .tape import Ref, Step, Tape


class Rows(NamedTuple):
    """Which row of a contraction belongs to which sample and time step: rows are [outer, samples, inner].

    Attributes:
        inner: rows between one sample and the next.
        steps: int64 [outer, inner], the time step of each row; -1 for what does not depend on time.
        sampled: whether rows belong to samples; otherwise all rows belong to each.
    """

    inner: int
    steps: Tensor
    sampled: bool


@dataclass(frozen=True)
class Use:
    """One call of an operator with weights, or one product of two values that depend on the input.

    Attributes:
        name: of its projection.
        parameter: name of the tensor of weights; None for a product of values.
        step: its step on the tape.
        weights: which factor holds the weights, 0 or 1.
        chain: steps that lead from the parameter to the factor, all of them moves.
        rows: of the other factor; None where samples mix.
        call: number of the call among those of the same place in the program.
        shape: of the parameter.
        batched: whether the factor is several matrices, one for each entry of a batch, and not one for all.
        real: for each spatial axis of a convolution, where its input depends on the example and is not padding.
        made: shape of the output, for `SAMPLES` samples.
    """

    name: str
    parameter: str | None
    step: Step
    weights: int
    chain: tuple[Step, ...]
    rows: Rows | None
    call: int
    shape: torch.Size
    batched: bool
    real: tuple[Tensor, ...]
    made: torch.Size


def use_of(
    tape: Tape,
    stamps: Stamps,
    shadows: dict[int, Shadow],
    step: Step,
    *,
    name: str,
    weights: int | None,
    origin: tuple[str, tuple[Step, ...]] | None,
    call: int,
) -> Use:
    """Return the use that a contraction is.

    Args:
        tape: with the step.
        stamps: of the tape.
        shadows: stamps of the step's inputs.
        step: the contraction.
        name: of the projection.
        weights: which factor holds the weights; None for a product of values.
        origin: name of the parameter, and the steps that lead from it to that factor.
        call: number of the call among those of the same place.
    """
    parameter, chain = origin or (None, ())
    number = next((index for index, known in tape.parameters.items() if known == parameter), None)
    shape = torch.Size() if number is None else tape.shapes[number]
    factors = operands_of(step)
    return Use(
        name=name,
        parameter=parameter,
        step=step,
        weights=weights or 0,
        chain=chain,
        rows=_rows(stamps, shadows[factors[values_of(weights)]], step, weights),
        call=call,
        shape=shape,
        batched=weights is not None and _is_batched(tape.shapes[factors[weights]], step, chain, shape),
        real=_real(shadows[factors[0]]) if "convolution" in step.name else (),
        made=tape.shapes[next(index for index in step.outputs if index is not None)],
    )


def values_of(weights: int | None) -> int:
    """Return which factor of a contraction holds values, for the one that holds weights."""
    return 1 if weights == 0 else 0


def _axis(step: Step, weights: int | None) -> int:
    """Return the axis of the factor with values that is summed over."""
    return -1 if values_of(weights) == 0 or step.name == "linear" else -2


def _rows(stamps: Stamps, shadow: Shadow, step: Step, weights: int | None) -> Rows | None:
    dims = range(1, shadow[0].dim()) if "convolution" in step.name else [_axis(step, weights)]
    return rows_from(stamps.reduce(shadow, dims, keep=False), stamps.samples)


def _is_batched(factor: torch.Size, step: Step, chain: tuple[Step, ...], shape: torch.Size) -> bool:
    """Return whether a factor holds several matrices: torch also repeats one, depending on strides."""
    if len(factor) != 3 or not chain:
        return False
    places = through(chain, step, torch.arange(shape.numel(), device="cpu").view(shape))
    return bool((places != places[:1]).any())


def _real(shadow: Shadow) -> tuple[Tensor, ...]:
    """Return for each spatial axis where the input of a convolution depends on anything, and is no padding."""
    known = torch.stack(shadow).any(0).flatten(0, 1).any(0)
    axes = range(known.dim())
    found = (known.any(tuple(a for a in axes if a != axis)) if known.dim() > 1 else known for axis in axes)
    return tuple(line if bool(line.any()) else torch.ones_like(line) for line in found)


def projection_of(tape: Tape, use: Use, sources: tuple[str, ...], between: tuple[str, ...]) -> Projection:
    """Return the projection that a use is, without its target."""
    step, weights = use.step, None if use.parameter is None else use.weights
    given, shape = tape.shapes[operands_of(step)[values_of(weights)]], use.made
    steps, static, positions = 1, True, 1
    if use.rows is not None:
        times = use.rows.steps.flatten()
        static, steps = bool((times < 0).all()), int(times.unique().numel())
        positions = max(1, use.rows.steps.numel() // steps)
    operation: Operation = "product" if use.parameter is None else "linear"
    extra: dict[str, Any] = {}
    if "convolution" in step.name:
        named = arguments_of(step.operator, step.args, step.kwargs)  # type: ignore[arg-type]
        operation = "transposed" if named.get("transposed") else "convolution"
        inputs, outputs, positions = tuple(given[1:]), tuple(shape[1:]), 1
        extra = {key: tuple(named[key]) for key in ("stride", "padding", "dilation")} | {"groups": named["groups"]}
    elif step.name == "_trilinear":
        operation, inputs, outputs = "bilinear", (given[-1],), (shape[-1],)
    else:
        axis = _axis(step, weights)
        inputs, outputs = ((size,) if positions == 1 else (size, positions) for size in (given[axis], shape[axis]))
    return Projection(
        name=use.name,
        parameter=use.parameter,
        operation=operation,
        sources=sources,
        delays=(0,) * len(sources),
        target="",
        inputs=inputs,
        outputs=outputs,
        positions=positions,
        steps=steps,
        static=static,
        between=between,
        module=step.module,
        **extra,
    )


def through(chain: Sequence[Step], end: Step, parameter: Tensor) -> Tensor:
    """Return what the views of a chain make of a tensor of the parameter's shape, for the step that they end at."""
    for step, after in pairwise((*chain, end)):
        if step.kind != "move" or step.operator is None:
            continue  # a constant factor or a type: the same elements at the same places
        made = step.operator(*_with(parameter, step.args), **_with(parameter, dict(step.kwargs)))
        if not isinstance(made, Tensor):  # parts, of which one goes on
            made = next(part for part, index in zip(made, step.outputs, strict=True) if index in after.inputs())
        parameter = made
    return parameter


def _with(tensor: Tensor, arguments: Any) -> Any:
    """Return arguments with a tensor in place of the reference in them."""
    return tree_map(lambda leaf: tensor if isinstance(leaf, Ref) else leaf, arguments)


def rows_from(shadow: Shadow, samples: int) -> Rows | None:
    """Return which row belongs to which sample and time step; None if samples mix.

    Args:
        shadow: of the rows, in any shape.
        samples: their number.
    """
    sample, times = (part.flatten() for part in stamp_of(shadow, samples))
    if bool((sample == -2).any()):
        return None
    if bool((sample < 0).all()):
        return Rows(len(sample), times.view(1, -1), False)
    count = len(sample)
    for inner in (n for n in range(1, count // samples + 1) if count % (n * samples) == 0):
        expected = torch.arange(count, device="cpu") // inner % samples
        if bool(((sample == expected) | (sample < 0)).all()):
            by_sample = times.view(-1, samples, inner)
            return Rows(inner, by_sample.amax(1), True)
    return None


def plain_shape(shadow: Shadow, samples: int) -> tuple[int, ...]:
    """Return the shape of a tensor without the samples and time steps in it."""
    sample, times = stamp_of(shadow, samples)
    shape = []
    for axis in range(sample.dim()):
        along = [0] * sample.dim()
        along[axis] = slice(None)  # type: ignore[call-overload]
        fibre, steps = sample[tuple(along)], times[tuple(along)]
        size = len(fibre)
        for number in (len(fibre.unique()), len(steps.unique())):
            if number > 1 and size % number == 0:
                size //= number
        batch_or_time = size == 1 and len(fibre) > 1
        if not batch_or_time:
            shape.append(size)
    return tuple(shape) or (1,)
