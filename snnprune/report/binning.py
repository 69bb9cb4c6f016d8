"""Large matrices reduced for a picture without losing their structure: sums over equal blocks."""

from typing import NamedTuple

import numpy as np


class Bins(NamedTuple):
    """A matrix cut into blocks.

    Attributes:
        sums: of the elements of each block, shape (row blocks, column blocks).
        cells: number of elements in each block; fewer at the lower and right edge.
        height: rows of a whole block.
        width: columns of a whole block.
    """

    sums: np.ndarray
    cells: np.ndarray
    height: int
    width: int


def bin_matrix(matrix: np.ndarray, *, limit: int | tuple[int, int]) -> Bins:
    """Sum a matrix over equal blocks, the smallest with at most `limit` blocks along each axis.

    Args:
        matrix: shape (rows, columns), boolean, integer or floating point.
        limit: blocks along an axis, or along each of the two; at least 1.
    """
    (rows, columns), limits = matrix.shape, (limit, limit) if isinstance(limit, int) else limit
    height, width = -(-rows // limits[0]), -(-columns // limits[1])
    kind = np.int64 if matrix.dtype.kind in "bui" else np.float64
    sums = np.add.reduceat(matrix, np.arange(0, columns, width), axis=1, dtype=kind)
    sums = np.add.reduceat(sums, np.arange(0, rows, height), axis=0)
    cells = np.outer(_lengths(rows, height), _lengths(columns, width))
    return Bins(sums, cells, height, width)


def bin_line(values: np.ndarray, size: int) -> np.ndarray:
    """Return means of a vector over blocks of `size`; the last block may be shorter."""
    return np.add.reduceat(values, np.arange(0, len(values), size)) / _lengths(len(values), size)


def robust_maximum(values: np.ndarray) -> float:
    """Return the 99.5th percentile of the values above 0, so that a few extreme blocks do not hide the rest.

    1 where no value is above 0.
    """
    positive = values[values > 0]
    return float(np.percentile(positive, 99.5)) if positive.size else 1.0


def _lengths(total: int, size: int) -> np.ndarray:
    return np.diff(np.append(np.arange(0, total, size), total))
