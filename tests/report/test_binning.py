import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from snnprune.report.binning import bin_line, bin_matrix, robust_maximum


def test_blocks_on_the_diagonal_stay_blocks():
    matrix = np.kron(np.eye(2, dtype=bool), np.ones((2, 2), dtype=bool))
    bins = bin_matrix(matrix, limit=2)
    assert bins.sums.tolist() == [[4, 0], [0, 4]]
    assert bins.cells.tolist() == [[4, 4], [4, 4]]
    assert (bins.height, bins.width) == (2, 2)


def test_the_last_bins_may_be_smaller():
    bins = bin_matrix(np.ones((3, 5), dtype=bool), limit=2)
    assert (bins.height, bins.width) == (2, 3)
    assert bins.sums.tolist() == bins.cells.tolist() == [[6, 4], [3, 2]]
    assert bin_line(np.array([1, 3, 8]), 2).tolist() == [2, 8]


def test_the_two_axes_may_have_limits_of_their_own():
    bins = bin_matrix(np.ones((3, 5), dtype=bool), limit=(9, 2))
    assert (bins.height, bins.width) == (1, 3)
    assert bins.sums.tolist() == bins.cells.tolist() == [[3, 2]] * 3


@settings(max_examples=50, deadline=None)
@given(
    matrix=arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)),
    limit=st.integers(1, 50),
)
def test_binning_loses_no_synapse(matrix: np.ndarray, limit: int):
    bins = bin_matrix(matrix, limit=limit)
    assert bins.sums.sum() == matrix.sum()
    assert bins.cells.sum() == matrix.size
    assert max(bins.sums.shape) <= limit
    assert (bins.sums <= bins.cells).all()


def test_a_few_bright_bins_do_not_hide_the_rest():
    values = np.concatenate([np.zeros(500), np.full(999, 0.1), [1.0]])
    assert robust_maximum(values) == pytest.approx(0.1)
    assert robust_maximum(np.zeros(3)) == 1
