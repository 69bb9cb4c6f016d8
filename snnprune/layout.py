"""Weight tensors as matrices whose rows are postsynaptic units, whatever the layer."""

from collections.abc import Sequence

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
