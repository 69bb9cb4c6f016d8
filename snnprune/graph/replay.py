"""Replay of a tape with other values than numbers: what each element depends on, or may reach."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map

from .operators import arguments_of
from .tape import Ref, Step, Tape

# What is known of a tensor: one tensor of its shape, or several.
Shadow = tuple[Tensor, ...]


class Domain:
    """Rules for the shadows of one analysis; each returns a shadow of the given shape.

    The rules here suit values of 0 or more of which the largest counts, with 0 for "nothing". An analysis overrides
    those in which it differs.
    """

    def outside(self, tape: Tape, index: int) -> Shadow:
        """Return the shadow of a tensor that no step made."""
        raise NotImplementedError

    def union(self, parts: Sequence[Shadow], shape: torch.Size) -> Shadow:
        """Return that of a value that depends, element by element, on several."""
        first, *others = parts
        found = [part.expand(shape).clone(memory_format=torch.contiguous_format) for part in first]
        for part in others:
            found = [torch.maximum(mine, theirs.expand(shape)) for mine, theirs in zip(found, part, strict=True)]
        return tuple(found)

    def product(self, parts: Sequence[Shadow], shape: torch.Size) -> Shadow:
        """Return that of a product, element by element."""
        return self.union(parts, shape)

    def reduce(self, shadow: Shadow, dims: Sequence[int], *, keep: bool) -> Shadow:
        """Return that of a reduction along axes."""
        return tuple(largest(part, dims, keep=keep) for part in shadow)

    def scan(self, shadow: Shadow, dim: int) -> Shadow:
        """Return that of a running sum along an axis."""
        return tuple(running_maximum(part, dim) for part in shadow)

    def contract(self, step: Step, parts: Sequence[Shadow], shape: torch.Size) -> Shadow:
        """Return that of a linear map; parts are the operands, without the bias."""
        raise NotImplementedError

    def window(self, step: Step, shadow: Shadow, shape: torch.Size) -> Shadow:
        """Return that of pooling or interpolation."""
        spatial = range(shadow[0].dim() - _window_axes(step.name), shadow[0].dim())
        return tuple(part.expand(shape).clone() for part in self.reduce(shadow, spatial, keep=True))

    def neuron(self, step: Step, shadow: Shadow, shape: torch.Size) -> Shadow:
        """Return that of a neuron's output."""
        raise NotImplementedError

    def finish(self, step: Step, index: int, shadow: Shadow) -> Shadow:
        """Return the shadow of an output, when a rule has made it."""
        return shadow


def running_maximum(values: Tensor, dim: int) -> Tensor:
    """Return the largest value up to each place along an axis; step by step, ten times faster than `cummax`."""
    found = values.clone(memory_format=torch.contiguous_format)
    for index in range(1, values.shape[dim]):
        torch.maximum(found.select(dim, index), found.select(dim, index - 1), out=found.select(dim, index))
    return found


def largest(values: Tensor, dims: Sequence[int], *, keep: bool) -> Tensor:
    """Return the largest values along axes; 0 where there are none."""
    if not dims:
        return values
    if not values.numel():
        return values.sum(tuple(dims), keepdim=keep).to(values.dtype)
    return values.amax(tuple(dims), keepdim=keep)


def replay(tape: Tape, domain: Domain, visit: Callable[[Step, list[Shadow]], None] | None = None) -> dict[int, Shadow]:
    """Return the shadows of all tensors of a tape.

    Args:
        tape: of `record_tape`.
        domain: rules.
        visit: called before each step with the shadows of its inputs.
    """
    shadows: dict[int, Shadow] = {}

    def shadow_of(index: int) -> Shadow:
        if index not in shadows:
            shadows[index] = domain.outside(tape, index)
        return shadows[index]

    for step in tape.steps:
        if step.kind in ("constant", "value"):
            continue
        if visit is not None:
            visit(step, [shadow_of(index) for index in step.inputs()])
        for index, shadow in _outputs(tape, step, domain, shadow_of):
            shadow = domain.finish(step, index, shadow)
            if index in step.mutated:
                for old, new in zip(shadow_of(index), shadow, strict=True):
                    old.copy_(new)
            elif index not in shadows or step.operator is None or not step.operator.is_view:
                shadows[index] = shadow
    return {**shadows, **{index: shadow_of(index) for index in tape.outputs}}


def _outputs(tape: Tape, step: Step, domain: Domain, shadow_of: Callable[[int], Shadow]) -> list[tuple[int, Shadow]]:
    made = [index for index in step.outputs if index is not None]
    if step.operator is not None and step.operator._schema.is_mutable and not made:
        made = list(step.mutated)
    try:
        found = _RULES[step.kind](tape, step, domain, shadow_of)
    except (RuntimeError, TypeError, ValueError, IndexError, KeyError, NotImplementedError):
        found = None  # a rule that does not fit this call: everything may depend on everything
    if found is None:
        found = [
            everything(domain, [shadow_of(index) for index in step.inputs()], tape.shapes[index]) for index in made
        ]
    if len(found) == 1 and len(made) > 1:
        found = [
            domain.union([found[0]], tape.shapes[index]) if tape.shapes[index] == found[0][0].shape else found[0]
            for index in made
        ]
    return list(zip(made, found, strict=False))


def everything(domain: Domain, parts: Sequence[Shadow], shape: torch.Size) -> Shadow:
    """Return the shadow of a value of which each element depends on all elements of all parts."""
    return domain.union([domain.reduce(part, range(part[0].dim()), keep=False) for part in parts], shape)


def _move(tape: Tape, step: Step, domain: Domain, shadow_of: Any) -> list[Shadow] | None:
    assert step.operator is not None
    tensors = [index for index in step.inputs() if not _is_position(tape, index)]
    if not tensors:
        return None
    results: list[list[Tensor]] = []
    for number in range(len(shadow_of(tensors[0]))):

        def component(leaf: Any, number: int = number) -> Any:
            if not isinstance(leaf, Ref):
                return leaf
            return tape.outside[leaf.index].cpu() if leaf.index not in tensors else shadow_of(leaf.index)[number]

        args, kwargs = tree_map(component, (step.args, dict(step.kwargs)))
        results.append(_called(step, args, kwargs, tape))
    return [tuple(parts) for parts in zip(*results, strict=True)]


def _called(step: Step, args: Any, kwargs: Any, tape: Tape) -> list[Tensor]:
    """Call the operator of a move, in float32 if it takes no whole numbers."""
    assert step.operator is not None
    try:
        return tree_flatten(step.operator(*args, **kwargs))[0]
    except RuntimeError:
        if (step.operator.is_view or step.name == "_unsafe_view") and step.outputs[0] is not None:
            return [args[0].reshape(tape.shapes[step.outputs[0]])]  # its memory lies otherwise than the original's
        dtype = next(leaf.dtype for leaf in tree_flatten(args)[0] if isinstance(leaf, Tensor))
        if dtype.is_floating_point:
            raise
    floats = tree_map(lambda leaf: leaf.float() if isinstance(leaf, Tensor) and leaf.dtype == dtype else leaf, args)
    return [part.to(dtype) for part in tree_flatten(step.operator(*floats, **kwargs))[0]]


def _is_position(tape: Tape, index: int) -> bool:
    """Return whether a tensor holds positions, such as an index, and not values."""
    return index in tape.outside and not tape.outside[index].is_floating_point() and index not in tape.inputs


def _union(tape: Tape, step: Step, domain: Domain, shadow_of: Any) -> list[Shadow] | None:
    inputs = step.inputs()
    if step.name == "copy" and len(inputs) == 2:
        inputs = inputs[1:]
    if step.name in ("fill", "zero") and len(inputs) == 1:
        return [domain.union([tuple(torch.zeros_like(part) for part in shadow_of(inputs[0]))], tape.shapes[inputs[0]])]
    shape = _shape_of(tape, step)
    values = [index for index in inputs if index not in tape.parameters] or inputs  # weights by themselves add nothing
    return [domain.union([shadow_of(index) for index in values], shape)]


def _product(tape: Tape, step: Step, domain: Domain, shadow_of: Any) -> list[Shadow] | None:
    return [domain.product([shadow_of(index) for index in step.inputs()], _shape_of(tape, step))]


def _shape_of(tape: Tape, step: Step) -> torch.Size:
    index = next((index for index in step.outputs if index is not None), None)
    return tape.shapes[index if index is not None else step.mutated[0]]


def _dims(step: Step, tape: Tape) -> tuple[list[int], bool]:
    assert step.operator is not None
    named = arguments_of(step.operator, step.args, step.kwargs)
    rank = len(tape.shapes[step.inputs()[0]])
    dims = named.get("dim", named.get("dims"))
    if dims is None or (isinstance(dims, list | tuple) and not dims):
        return list(range(rank)), bool(named.get("keepdim", False))
    several = dims if isinstance(dims, list | tuple) else [dims]
    return sorted({dim % max(rank, 1) for dim in several}), bool(named.get("keepdim", named.get("keepdims", False)))


def _reduce(tape: Tape, step: Step, domain: Domain, shadow_of: Any) -> list[Shadow] | None:
    dims, keep = _dims(step, tape)
    shadow, shape = shadow_of(step.inputs()[0]), _shape_of(tape, step)
    if tape.shapes[step.inputs()[0]].numel() == 0:
        return None
    found = domain.reduce(shadow, dims, keep=keep)
    return [found if found[0].shape == shape else domain.union([domain.reduce(shadow, dims, keep=True)], shape)]


def _mix(tape: Tape, step: Step, domain: Domain, shadow_of: Any) -> list[Shadow] | None:
    assert step.operator is not None
    shadow, named = shadow_of(step.inputs()[0]), arguments_of(step.operator, step.args, step.kwargs)
    shape = tape.shapes[step.inputs()[0]]
    if "batch_norm" in step.name or "layer_norm" in step.name or "group_norm" in step.name:
        rank = len(shape)
        if "layer_norm" in step.name:
            dims = list(range(rank - len(named["normalized_shape"]), rank))
        elif "group_norm" in step.name:
            dims = list(range(1, rank))
        elif named.get("training", named.get("train", True)):
            dims = [axis for axis in range(rank) if axis != 1]
        else:
            dims = []
    else:
        dims, _ = _dims(step, tape)
    mixed = domain.union([domain.reduce(shadow, dims, keep=True)], shape) if dims else domain.union([shadow], shape)
    outputs = [index for index in step.outputs if index is not None]
    rest = [everything(domain, [mixed], tape.shapes[index]) for index in outputs[1:]]
    return [mixed, *rest]


def _scan(tape: Tape, step: Step, domain: Domain, shadow_of: Any) -> list[Shadow] | None:
    dims, _ = _dims(step, tape)
    return [domain.scan(shadow_of(step.inputs()[0]), dims[0])]


def _contract(tape: Tape, step: Step, domain: Domain, shadow_of: Any) -> list[Shadow] | None:
    operands = [shadow_of(index) for index in operands_of(step)]
    return [domain.contract(step, operands, _shape_of(tape, step))]


def operands_of(step: Step) -> list[int]:
    """Return the numbers of the two factors of a contraction (three of a bilinear map), without its bias."""
    position = 1 if step.name in ("addmm", "baddbmm", "addmv") else 0
    count = 3 if step.name == "_trilinear" else 2
    return [ref.index for ref in step.args[position : position + count]]


def _window(tape: Tape, step: Step, domain: Domain, shadow_of: Any) -> list[Shadow] | None:
    return [domain.window(step, shadow_of(step.inputs()[0]), _shape_of(tape, step))]


def _window_axes(name: str) -> int:
    return next((axes for axes in (1, 2, 3) if f"{axes}d" in name), 2)


def _embed(tape: Tape, step: Step, domain: Domain, shadow_of: Any) -> list[Shadow] | None:
    weight, positions = step.inputs()[:2]
    shape = _shape_of(tape, step)
    spread = tuple(part.unsqueeze(-1) for part in shadow_of(positions))
    return [domain.union([spread, domain.reduce(shadow_of(weight), [0], keep=False)], shape)]


def _neuron(tape: Tape, step: Step, domain: Domain, shadow_of: Any) -> list[Shadow] | None:
    inputs = step.inputs()
    if len(inputs) != 1 or step.outputs[0] is None:
        return None
    shape, given = tape.shapes[step.outputs[0]], tape.shapes[inputs[0]]
    if shape not in (given, given[1:]):
        return None
    found = domain.neuron(step, shadow_of(inputs[0]), shape)
    return [found, *(_state(domain, found, tape.shapes[index]) for index in step.outputs[1:] if index is not None)]


def _state(domain: Domain, found: Shadow, shape: torch.Size) -> Shadow:
    """Return the shadow of a neuron's potential, or the like: as its output, or its last output."""
    if shape == found[0].shape:
        return domain.union([found], shape)
    if found[0].dim() and shape == found[0].shape[1:]:
        return domain.union([tuple(part[-1] for part in found)], shape)
    return everything(domain, [found], shape)


def _opaque(tape: Tape, step: Step, domain: Domain, shadow_of: Any) -> list[Shadow] | None:
    return None


_RULES: dict[str, Callable[[Tape, Step, Domain, Any], list[Shadow] | None]] = {
    "move": _move,
    "pointwise": _union,
    "product": _product,
    "reduce": _reduce,
    "mix": _mix,
    "scan": _scan,
    "contract": _contract,
    "window": _window,
    "embed": _embed,
    "neuron": _neuron,
    "opaque": _opaque,
}


def rows_of(step: Step, shape: Sequence[int]) -> int:
    """Return the number of rows of a contraction's first factor: all axes but the contracted ones."""
    return math.prod(shape[:-1])
