"""Compressed sparse rows: one scipy matrix for each layer, all in one `.npz` file."""

import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from ..connectivity import Connectivity
from ..errors import InputError
from ..layout import from_rows, to_rows
from ..options import checked
from ..shapes import check_shapes, shapes_of
from ..storage import Header, damaged, read_arrays, write_arrays
from ..synapses import Synapses, find_synapses, static_geometry, synapses_named

# Part of a layer -> its types.
_PARTS: dict[str, tuple[type, ...]] = {
    "data": (np.float32, np.float64),
    "indices": (np.int32, np.int64),
    "indptr": (np.int32, np.int64),
    "shape": (np.int64,),
}


@checked
def save_csr(path: str | os.PathLike[str], network: nn.Module, connectivity: Connectivity | None = None) -> None:
    """Write the weights of the existing synapses, one compressed sparse row matrix for each layer.

    Rows are postsynaptic units, columns the flattened presynaptic side: the inputs of a Linear layer, (in / groups,
    *kernel) of a convolution, transposed or not. The file is a plain `.npz` that numpy alone can read: `layers`, the
    names, and for each `<name>/data`, `<name>/indices`, `<name>/indptr`, and `<name>/shape` of the weight tensor.

    Lossless: an existing synapse whose weight is exactly 0 stays as an explicit zero, narrower weights than float32
    are stored as float32, float64 as float64, and before the file is moved to `path` it is read back and compared with
    the network bit for bit. Equal input gives equal bytes. Only layers that the connectivity names are written.

    Args:
        path: the file to replace; the suffix `.npz` is usual and not added.
        network: the network whose weights are written; unchanged.
        connectivity: of that network; by default its weights that are not zero.

    Raises:
        InputError: the connectivity is of another network, the network has weights where the connectivity has no
            synapse, or the file cannot be written.
        RuntimeError: the file read back differs from the network; `path` is unchanged.
    """
    if connectivity is None:
        connectivity = Connectivity.from_network(network)
    connectivity.check(network)
    synapses = synapses_named(network, connectivity)
    _check_lossless(connectivity, synapses)
    # In the order of the network, so that equal connectivities give equal files, however they were built.
    masks = {name: connectivity[name].cpu() for name in synapses if name in connectivity}
    arrays: dict[str, Any] = {"layers": np.array(list(masks))}
    for name, mask in masks.items():
        for part, array in _compress(synapses[name], mask).items():
            arrays[f"{name}/{part}"] = array
    # Not compressed, because zip gains little on weights: a layer of 2048 x 16384 at 5 % takes 13.4 MB and 0.04 s,
    # compressed 9.4 MB and 0.63 s. Compressed bytes would also depend on the version of zlib.
    write_arrays(path, arrays, check=lambda temporary: _compare(temporary, synapses, masks))


def load_csr(path: str | os.PathLike[str]) -> dict[str, csr_array]:
    """Read a file of `save_csr`.

    Returns:
        parameter name -> matrix of shape (postsynaptic units, in / groups * kernel), float32 (or float64, if the
        network's weights were), with explicit zeros where an existing synapse has weight 0.

    Raises:
        InputError: no such file, or one that is damaged or of another kind.
    """
    return {name: matrix for name, (matrix, _) in _read(path).items()}


@checked
def restore_csr(path: str | os.PathLike[str], network: nn.Module) -> Connectivity:
    """Write the weights of a file into a network, in place, and return the connectivity of the file.

    Absent synapses get weight 0. Layers that are not in the file keep their weights.

    Args:
        path: a file of `save_csr`.
        network: a network with the layers of the one that was saved, on any device.

    Raises:
        InputError: as `load_csr`, a layer that the network does not have or has in another shape, or a weight that the
            network's dtype cannot hold exactly. The network is unchanged.
    """
    stored = _read(path)
    synapses = synapses_named(network, stored)
    if synapses.keys() < stored.keys():  # the message lists the synapses
        synapses |= find_synapses(network)
    shapes = {name: shape for name, (_, shape) in stored.items()}
    expected = shapes_of({name: entry.parameter for name, entry in synapses.items()})
    check_shapes(shapes, expected, what=f"{path}", where=type(network).__name__, partial=True)
    weights, masks = {}, {}
    for name, (matrix, _) in stored.items():
        rows, outputs = len(matrix.indptr) - 1, static_geometry(synapses[name]).outputs
        if rows != outputs:
            raise InputError(
                f"{path} has {rows} rows for {name}, which has {outputs} postsynaptic units: use its own file"
            )
        weights[name], masks[name] = _expand(matrix, synapses[name])
    with torch.no_grad():
        for name, weight in weights.items():
            synapses[name].parameter.copy_(weight)
    return Connectivity({name: mask.to(synapses[name].parameter.device) for name, mask in masks.items()})


def _compress(synapses: Synapses, mask: Tensor) -> dict[str, np.ndarray]:
    """Return the arrays of one layer; not by scipy, which would drop existing synapses of weight 0."""
    geometry = static_geometry(synapses)
    exists = to_rows(mask, geometry).numpy()
    weights = to_rows(_widen(synapses.parameter.detach().cpu()), geometry).numpy()
    index = np.flatnonzero(exists)
    size = np.int32 if max(len(index), exists.shape[1]) < 2**31 else np.int64
    ends = np.cumsum(exists.sum(axis=1, dtype=np.int64))
    return {
        "data": weights.reshape(-1)[index],
        "indices": (index % exists.shape[1]).astype(size),
        "indptr": np.concatenate(([0], ends)).astype(size),
        "shape": np.array(mask.shape, dtype=np.int64),
    }


def _expand(matrix: csr_array, synapses: Synapses) -> tuple[Tensor, Tensor]:
    """Return the weight tensor and the mask of existing synapses, in the shape and dtype of the parameter."""
    geometry, shape = static_geometry(synapses), synapses.parameter.shape
    data = torch.from_numpy(matrix.data)
    weights = data.to(synapses.parameter.dtype)
    if not torch.equal(_bits(weights.to(data.dtype)), _bits(data)):
        raise InputError(
            f"the weights of {synapses.name}, {data.dtype}, do not fit in {weights.dtype} without loss: "
            f"restore them into a network of {data.dtype}, then convert that"
        )
    # Not matrix.toarray(), which adds to zeros and so turns -0.0 into 0.0.
    rows = np.repeat(np.arange(len(matrix.indptr) - 1), np.diff(matrix.indptr))
    index = torch.from_numpy(rows * (shape.numel() // geometry.outputs) + matrix.indices)
    weight, exists = (
        torch.zeros(shape.numel(), dtype=weights.dtype, device="cpu"),
        torch.zeros(shape.numel(), dtype=torch.bool, device="cpu"),
    )
    weight[index], exists[index] = weights, True
    return from_rows(weight, geometry, shape), from_rows(exists, geometry, shape)


def _widen(weight: Tensor) -> Tensor:
    """Return weights as float32, or float64; numpy has no bfloat16, and the conversion to float32 is exact."""
    return weight if weight.dtype == torch.float64 else weight.float()


def _compare(path: str | os.PathLike[str], synapses: Mapping[str, Synapses], masks: Mapping[str, Tensor]) -> None:
    """Read an export back and compare it with the network, bit for bit."""
    stored = _read(path)
    for name, mask in masks.items():
        weight, exists = _expand(stored[name][0], synapses[name])
        original = synapses[name].parameter.detach().cpu()
        same = torch.equal(exists, mask) and torch.equal(_bits(weight[mask]), _bits(original[mask]))
        if not same:
            raise RuntimeError(f"the export of {name} differs from the network when read back: nothing was saved")


def _bits(values: Tensor) -> Tensor:
    """Bits of the values, so that -0.0 and every nan compare as different."""
    return values.view({2: torch.int16, 4: torch.int32, 8: torch.int64}[values.element_size()])


def _read(path: str | os.PathLike[str]) -> dict[str, tuple[csr_array, tuple[int, ...]]]:
    """Return name -> matrix and weight shape, every array checked."""
    arrays = read_arrays(path, _check_headers, what="CSR file")
    try:
        names = arrays["layers"].tolist()
        if sorted(names) != sorted(_names(arrays)):
            raise ValueError("layers must name each layer once")
        return {name: _matrix(name, *(arrays[f"{name}/{part}"] for part in _PARTS)) for name in names}
    except ValueError as error:
        raise damaged(path, "CSR file", error) from error


def _names(arrays: Iterable[str]) -> set[str]:
    return {name.rpartition("/")[0] for name in arrays if name != "layers"}


def _check_headers(headers: Mapping[str, Header]) -> None:
    """Make sure that there are the four arrays of each layer, their names, and nothing else."""
    expected = {"layers", *(f"{name}/{part}" for name in _names(headers) for part in _PARTS)}
    if different := sorted(headers.keys() ^ expected):
        raise ValueError(f"{different[0]} is {'unknown' if different[0] in headers else 'missing'}")
    for name, (dtype, shape) in headers.items():
        types = _PARTS.get(name.rpartition("/")[2])
        right = dtype.kind == "U" if name == "layers" or types is None else dtype in [np.dtype(kind) for kind in types]
        if not right or len(shape) != 1:
            raise ValueError(f"{name} is {dtype} of shape {shape}")


def _matrix(
    name: str, data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: np.ndarray
) -> tuple[csr_array, tuple[int, ...]]:
    sizes, rows = tuple(shape.tolist()), len(indptr) - 1
    total = math.prod(sizes)
    if len(sizes) < 2 or min(sizes) < 0 or total >= 2**62 or rows < 0 or total % max(rows, 1) or (total and not rows):
        raise ValueError(f"{name} has the shape {sizes} and {rows} rows")
    columns = total // max(rows, 1)
    starts, lengths = indptr[:-1], np.diff(indptr)
    if indptr[0] != 0 or (lengths < 0).any() or indptr[-1] != len(indices) or len(indices) != len(data):
        raise ValueError(f"the rows of {name} do not hold its {len(data)} weights")
    ascending = np.diff(indices) > 0
    ascending[starts[(starts > 0) & (starts < len(indices))] - 1] = True  # from the end of a row to the next
    if len(indices) and not (indices.min() >= 0 and indices.max() < columns and ascending.all()):
        raise ValueError(f"the columns of {name} must ascend in each row, from 0 to {columns - 1}")
    return csr_array((data, indices, indptr), shape=(rows, columns)), sizes


def _check_lossless(connectivity: Connectivity, synapses: Mapping[str, Synapses]) -> None:
    """Make sure that no weight is lost because the connectivity has no synapse there."""
    for name, mask in connectivity.items():
        weight = synapses[name].parameter.detach()
        if lost := int((weight.masked_fill(mask.to(weight.device), 0) != 0).sum()):
            raise InputError(
                f"{name} has {lost} weights that are not 0 where the connectivity has no synapse: "
                "they would be lost; call connectivity.apply_(network) first"
            )
