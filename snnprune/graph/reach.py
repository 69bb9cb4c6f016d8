"""Reachability: which synapses can change an output, and which values an input can change."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..probe import Inputs, split_batch
from ..synapses import unwrapped
from .layouts import check_strangers, find_layout, recorded
from .operators import arguments_of
from .replay import Domain, Shadow, largest, replay
from .stamps import is_causal, is_multi
from .tape import Step, Tape

_AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_ALONE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class _Binary(torch.autograd.Function):
    """Values of 0 and 1 in place of a count of paths; backwards, whether there is a path and not how many."""

    @staticmethod
    def forward(ctx: Any, count: Tensor, values: Tensor) -> Tensor:  # type: ignore[override]
        return values.expand_as(count).clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return (slope != 0).to(slope), None


class Reach(Domain):
    """Two numbers of each element: whether it may be other than 0, and whether an input can change it.

    A value that no input can change is the one of the run that was recorded, so it is known whether it is 0. The
    gradient of the first number tells what can change an output.

    Args:
        tape: recorded with `keep_not_zero`.
        masks: name of a parameter -> which of its weights exist, float 0 or 1, with a gradient; other parameters count
            as other than 0.
    """

    def __init__(self, tape: Tape, masks: Mapping[str, Tensor]) -> None:
        self.masks = masks
        self.tape = tape
        self._state: dict[object, Shadow] = {}
        self._made = {index: step for step in reversed(tape.steps) if step.kind == "constant" for index in step.outputs}

    def outside(self, tape: Tape, index: int) -> Shadow:
        shape = tape.shapes[index]
        if index in tape.inputs:
            return _full(shape, 1.0), _full(shape, 1.0)
        if (name := tape.parameters.get(index)) is not None:
            mask = self.masks.get(name)
            return (_full(shape, 1.0) if mask is None else mask), _full(shape, 0.0)
        made = self._made.get(index)
        value = tape.outside[index].cpu() != 0 if made is None else tape.not_zero[made][index]
        return value.float(), _full(shape, 0.0)

    def union(self, parts: Sequence[Shadow], shape: torch.Size) -> Shadow:
        count, depends = _full(shape, 0.0), _full(shape, 0.0)
        for part in parts:
            count, depends = count + part[0], torch.maximum(depends, part[1].expand(shape))
        return count, depends

    def product(self, parts: Sequence[Shadow], shape: torch.Size) -> Shadow:
        first, *others = parts
        for second in others:
            depends = torch.maximum(first[1] * second[0].detach(), second[1] * first[0].detach())
            first = first[0] * second[0], depends
        return first[0].expand(shape).clone(), first[1].expand(shape).clone()

    def reduce(self, shadow: Shadow, dims: Sequence[int], *, keep: bool) -> Shadow:
        if not dims:
            return shadow
        return shadow[0].sum(tuple(dims), keepdim=keep), largest(shadow[1], dims, keep=keep)

    def scan(self, shadow: Shadow, dim: int) -> Shadow:
        return shadow[0].cumsum(dim), shadow[1].cummax(dim).values

    def contract(self, step: Step, parts: Sequence[Shadow], shape: torch.Size) -> Shadow:
        values = [part[0] for part in parts]
        count = linear_map(step, values)
        depends = _full(shape, 0.0)
        with torch.no_grad():
            for number, part in enumerate(parts):
                if bool(part[1].any()):
                    mixed = [*values[:number], part[1], *values[number + 1 :]]
                    depends = torch.maximum(depends, (linear_map(step, mixed) > 0).float())
        return count, depends

    def window(self, step: Step, shadow: Shadow, shape: torch.Size) -> Shadow:
        return tuple(pooled(step, part, shape) for part in shadow)

    def neuron(self, step: Step, shadow: Shadow, shape: torch.Size) -> Shadow:
        if is_multi(step):
            if is_causal(step):
                shadow = self.scan(shadow, 0)
            else:
                shadow = tuple(part.expand(shadow[0].shape) for part in self.reduce(shadow, [0], keep=True))
            return shadow if shape == shadow[0].shape else tuple(part[-1] for part in shadow)
        before = self._state.get(step.neuron)
        if before is not None:
            shadow = shadow[0] + before[0], torch.maximum(shadow[1], before[1])
        self._state[step.neuron] = shadow
        return shadow

    def finish(self, step: Step, index: int, shadow: Shadow) -> Shadow:
        count, depends = shadow
        depends = (depends > 0).float()
        values = torch.maximum(depends, self.tape.not_zero[step][index].float())
        if step.kind == "move" and step.operator is not None and step.operator.is_view:
            return count, shadow[1]  # the same memory as before
        return cast(Tensor, _Binary.apply(count, values)), depends


def _full(shape: torch.Size, value: float) -> Tensor:
    return torch.full(shape, value, dtype=torch.float32, device="cpu")  # whatever the default is


def linear_map(step: Step, factors: Sequence[Tensor]) -> Tensor:
    """Return the contraction of a step with other factors and without bias."""
    if "convolution" in step.name:
        named = arguments_of(step.operator, step.args, step.kwargs)  # type: ignore[arg-type]
        keys = ("stride", "padding", "dilation", "transposed", "output_padding", "groups")
        return torch.ops.aten.convolution.default(factors[0], factors[1], None, *(named[key] for key in keys))
    if step.name == "_trilinear":
        return torch.ops.aten._trilinear.default(*factors, *step.args[3:])
    if step.name == "linear":
        return F.linear(factors[0], factors[1])
    return torch.matmul(factors[0], factors[1])


def pooled(step: Step, values: Tensor, shape: torch.Size) -> Tensor:
    """Return pooled or interpolated values; the largest is replaced by the sum, so that every input counts."""
    assert step.operator is not None
    if not step.name.startswith(("max_pool", "adaptive_max")):
        args = (values, *step.args[1:])
        return step.operator(*args, **step.kwargs)
    if step.name.startswith("adaptive_max"):
        axes = 3 if "3d" in step.name else 2
        return {2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}[axes](values, step.args[1])
    named = arguments_of(step.operator, step.args, step.kwargs)
    axes = 3 if "3d" in step.name else 2 if "2d" in step.name else 1
    size, stride, padding, dilation = (
        _each(named[key], axes) for key in ("kernel_size", "stride", "padding", "dilation")
    )
    stride = stride or size
    channels = values.shape[-axes - 1]
    border = []
    for axis in reversed(range(axes)):
        reach = (shape[axis - axes] - 1) * stride[axis] + (size[axis] - 1) * dilation[axis] + 1
        border += [padding[axis], max(0, reach - padding[axis] - values.shape[axis - axes])]
    kernel = values.new_ones((channels, 1, *size))
    return _ALONE[axes](F.pad(values, border), kernel, stride=stride, dilation=dilation, groups=channels)  # type: ignore[operator]


def _each(value: Any, axes: int) -> tuple[int, ...]:
    several = tuple(value) if isinstance(value, list | tuple) else (value,)
    return several * axes if len(several) == 1 else several


def reaching(network: nn.Module, masks: Mapping[str, Tensor], example: Any, layout: Any = None) -> dict[str, Tensor]:
    """Return which synapses can change an output of the network: its source may be other than 0, its target matters.

    Args:
        network: left as it was.
        masks: name of a parameter -> bool tensor, which synapses exist.
        example: inputs of the network.
        layout: of the inputs; None: found where that is possible, to look at one sample.

    Raises:
        InputError: the network does not take the example.
    """
    from .tape import plain_parameters

    network = unwrapped(network)
    inputs = one_sample(network, Inputs.of(split_batch(example)[0]), layout)
    learned = dict(plain_parameters(network))
    with torch.no_grad():
        replaced = {name: learned[name].detach() * mask.to(learned[name].device) for name, mask in masks.items()}
    tape = recorded(network, inputs, replaced=replaced, keep_not_zero=True)
    del replaced
    check_strangers(network, inputs, tape)
    leaves = {name: mask.float().cpu().requires_grad_() for name, mask in masks.items()}
    with torch.enable_grad(), torch.autograd.graph.allow_mutation_on_saved_tensors():
        shadows = replay(tape, Reach(tape, leaves))
        ends = [shadows[index][0].sum() for index in tape.outputs if shadows[index][0].requires_grad]
        if not ends:
            return {name: torch.zeros_like(mask) for name, mask in masks.items()}
        slopes = torch.autograd.grad(sum(ends), list(leaves.values()), allow_unused=True)  # type: ignore[arg-type]
    return {
        name: torch.zeros_like(mask) if slope is None else (slope != 0).to(mask.device) & mask
        for (name, mask), slope in zip(masks.items(), slopes, strict=True)
    }


def one_sample(network: nn.Module, inputs: Inputs, layout: Any) -> Inputs:
    """Return the first sample of the inputs; all of them where samples cannot be told apart."""
    try:
        found, _ = find_layout(network, inputs, layout)
    except InputError:
        if layout is not None:
            raise
        return inputs
    return inputs.taken(found.samples, 1)
