"""The one check of names and shapes."""

import pytest
import torch

from snnprune import InputError
from snnprune.shapes import check_shapes, shapes_of

FILE, NETWORK = {"a": (2, 3), "b": (4,)}, {"a": (2, 3), "b": (4,)}


def test_equal_names_and_shapes_pass():
    check_shapes(FILE, NETWORK, what="the file", where="Net")
    check_shapes({"a": [2, 3]}, NETWORK, what="the file", where="Net", partial=True)
    assert shapes_of({"a": torch.zeros(2, 3), "b": torch.zeros(())}) == {"a": (2, 3), "b": ()}


@pytest.mark.parametrize(
    ("found", "partial", "message"),
    [
        ({"a": (3, 2), "b": (4,)}, True, r"file and Net do not match: a is \(3, 2\) in the first and \(2, 3\) in the"),
        ({"a": (2, 3), "c": (4,)}, True, r"c is \(4,\) in the first and absent in the second; Net has a, b"),
        ({"a": (2, 3)}, False, r"b is absent in the first and \(4,\) in the second$"),
    ],
)
def test_the_first_difference_is_named_with_both_sides(found, partial, message):
    with pytest.raises(InputError, match=message):
        check_shapes(found, NETWORK, what="the file", where="Net", partial=partial)
