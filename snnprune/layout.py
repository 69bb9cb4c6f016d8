"""Weight tensors as matrices whose rows are postsynaptic, or presynaptic, units, whatever the layer."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from .synapses import Geometry


def to_rows(tensor: Tensor, geometry: Geometry) -> Tensor:
    """The matrix of a weight tensor.

    Args:
        tensor: of the weight's shape.
        geometry: of its layer.

    Returns:
        shape (postsynaptic units, in / groups * kernel), contiguous.
    """
    if geometry.output_axis == 1:  # transposed: (in, out / groups, *kernel), each group brings its outputs first
        tensor = tensor.unflatten(0, (geometry.groups, -1)).transpose(1, 2).flatten(0, 1)
    return tensor.flatten(1).contiguous()


def from_rows(rows: Tensor, geometry: Geometry, shape: Sequence[int]) -> Tensor:
    """The weight tensor of a matrix: the inverse of `to_rows`.

    Args:
        rows: as many elements as the weight has, in the order of `to_rows`.
        geometry: of the layer.
        shape: of the weight tensor.
    """
    if geometry.output_axis == 1:
        sizes = (geometry.groups, shape[1], shape[0] // geometry.groups, *shape[2:])
        rows = rows.reshape(sizes).transpose(1, 2)
    return rows.reshape(tuple(shape)).contiguous()


def to_columns(tensor: Tensor, geometry: Geometry) -> Tensor:
    """The matrix of a weight tensor with one row for each presynaptic unit.

    Args:
        tensor: of the weight's shape.
        geometry: of its layer.

    Returns:
        shape (presynaptic units, out / groups * kernel), contiguous.
    """
    return to_rows(tensor, _reversed(geometry))


def from_columns(columns: Tensor, geometry: Geometry, shape: Sequence[int]) -> Tensor:
    """The weight tensor of a matrix: the inverse of `to_columns`; arguments as in `from_rows`."""
    return from_rows(columns, _reversed(geometry), shape)


def _reversed(geometry: Geometry) -> Geometry:
    """A layer's weight seen from its other side: what is its output axis there is its input axis here."""
    return replace(geometry, output_axis=1 - geometry.output_axis)
