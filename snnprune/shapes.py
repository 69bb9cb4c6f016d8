"""Comparison of named shapes: of a file, a connectivity or scores with those of a network."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from .errors import InputError

Shapes = Mapping[str, Sequence[int]]


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of these tensors."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def check_shapes(found: Shapes, expected: Shapes, *, what: str, where: str, partial: bool = False) -> None:
    """Make sure that names and shapes are the same.

    Args:
        found: name -> shape.
        expected: name -> shape.
        what: the origin of `found`, for the message ("the connectivity").
        where: the origin of `expected`, for the message ("Sequential").
        partial: `found` may leave names out.

    Raises:
        InputError: the first name that differs, with both shapes; if it is unknown, the known names.
    """
    for name in found if partial else {**found, **expected}:
        mine, theirs = (tuple(shapes[name]) if name in shapes else None for shapes in (found, expected))
        if mine == theirs:
            continue
        known = f"; {where} has {', '.join(expected)}" if theirs is None else ""
        sides = f"{_described(mine)} in the first and {_described(theirs)} in the second"
        raise InputError(f"{what} and {where} do not match: {name} is {sides}{known}")


def _described(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else str(shape)
