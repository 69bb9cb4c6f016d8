"""Weight tensors of any layer as matrices, with one row for each postsynaptic or presynaptic unit."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from .synapses import Geometry


def to_rows(tensor: Tensor, geometry: Geometry) -> Tensor:
    """Return a weight tensor as a matrix with one row for each postsynaptic unit.

    Args:
        tensor: of the weight's shape.
        geometry: of its layer.

    Returns:
        shape (postsynaptic units, in / groups * kernel), contiguous.
    """
    if geometry.output_axis == 1:  # transposed convolution: (in, out / groups, *kernel), inputs sorted by group
        tensor = tensor.unflatten(0, (geometry.groups, -1)).transpose(1, 2).flatten(0, 1)
    return tensor.flatten(1).contiguous()


def from_rows(rows: Tensor, geometry: Geometry, shape: Sequence[int]) -> Tensor:
    """Return the weight tensor of a matrix, the inverse of `to_rows`.

    Args:
        rows: the elements of the weight, in the order of `to_rows`; any shape.
        geometry: of the layer.
        shape: of the weight tensor.
    """
    if geometry.output_axis == 1:
        sizes = (geometry.groups, shape[1], shape[0] // geometry.groups, *shape[2:])
        rows = rows.reshape(sizes).transpose(1, 2)
    return rows.reshape(tuple(shape)).contiguous()


def to_columns(tensor: Tensor, geometry: Geometry) -> Tensor:
    """Return a weight tensor as a matrix with one row for each presynaptic unit.

    Args:
        tensor: of the weight's shape.
        geometry: of its layer.

    Returns:
        shape (presynaptic units, out / groups * kernel), contiguous.
    """
    return to_rows(_as_layer(tensor, geometry), _reversed(geometry))


def from_columns(columns: Tensor, geometry: Geometry, shape: Sequence[int]) -> Tensor:
    """Return the weight tensor of a matrix, the inverse of `to_columns`; arguments as in `from_rows`."""
    if not geometry.kernel:
        return from_rows(columns, _reversed(geometry), (geometry.outputs, geometry.inputs)).reshape(tuple(shape))
    return from_rows(columns, _reversed(geometry), shape)


def _as_layer(tensor: Tensor, geometry: Geometry) -> Tensor:
    """Return a weight of (out, in1, in2) as (out, in1 * in2), that of a convolution as it is."""
    return tensor if geometry.kernel else tensor.flatten(1)


def _reversed(geometry: Geometry) -> Geometry:
    """Return the geometry with the presynaptic and postsynaptic axes exchanged."""
    return replace(geometry, output_axis=1 - geometry.output_axis)
