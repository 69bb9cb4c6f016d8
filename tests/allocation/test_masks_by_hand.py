"""The mask of every allocation on tensors of four to twelve scores, worked out on paper."""

import pytest
import torch
from torch import nn

from snnprune import Connectivity
from snnprune.allocation import find
from snnprune.synapses import static_geometry

A = torch.tensor([[0.9, 0.1, 0.5], [0.3, 0.8, 0.2]])
B = torch.tensor([[0.75, 0.95], [0.65, 0.85]])
LINEAR = {"a": static_geometry(nn.Linear(3, 2)), "b": static_geometry(nn.Linear(2, 2))}

# A convolution of four kernels with two entries each, and a neuron with four inputs.
CONV = torch.tensor([[[4.0, 2.0], [1.0, 1.0]], [[0.0, 9.0], [3.0, 3.0]]])
NEURON = torch.tensor([[2.0, 5.0, 0.5, 3.0]])
MIXED = {"conv": static_geometry(nn.Conv1d(2, 2, 2)), "neuron": static_geometry(nn.Linear(4, 1))}

WIDE = torch.tensor([[4.0, 3.0, 2.0, 1.0], [5.0, 6.0, 8.0, 7.0]])
ONE = {"w": static_geometry(nn.Linear(4, 2))}


def masks(kept: Connectivity) -> dict[str, list]:
    return {name: mask.int().tolist() for name, mask in kept.items()}


@pytest.mark.parametrize(
    ("allocation", "density", "a", "b"),
    [
        # the five largest: 0.95 0.9 0.85 0.8 0.75
        ("global", 0.5, [[1, 0, 0], [0, 1, 0]], [[1, 1], [0, 1]]),
        # 2.5 rounds to the even 2: 0.95 0.9
        ("global", 0.25, [[1, 0, 0], [0, 0, 0]], [[0, 1], [0, 0]]),
        # 3 of 6 and 2 of 4
        ("uniform", 0.5, [[1, 0, 1], [0, 1, 0]], [[0, 1], [0, 1]]),
        # 3 in all; 1.8 and 1.2: the larger remainder is rounded up
        ("uniform", 0.3, [[1, 0, 0], [0, 1, 0]], [[0, 1], [0, 0]]),
        # 1 in all; 0.6 and 0.4
        ("uniform", 0.1, [[1, 0, 0], [0, 0, 0]], [[0, 0], [0, 0]]),
        # 5 in all in the proportion 3 + 2 to 2 + 2: 2.78 and 2.22
        ("er", 0.5, [[1, 0, 1], [0, 1, 0]], [[0, 1], [0, 1]]),
        # 8 in all: 4.44 and 3.56
        ("er", 0.8, [[1, 0, 1], [1, 1, 0]], [[1, 1], [1, 1]]),
        # 3 and 2 in rows of 3 and 2; the first row of "a" has one more
        ("rows", 0.5, [[1, 0, 1], [0, 1, 0]], [[0, 1], [0, 1]]),
        # 4.8 and 3.2 round to 5 and 3: rows of 3 and 2, and of 2 and 1
        ("rows", 0.8, [[1, 1, 1], [1, 1, 0]], [[1, 1], [0, 1]]),
        ("filters", 0.5, [[0, 0, 0], [0, 0, 0]], [[1, 1], [1, 1]]),
    ],
)
def test_two_linear_layers(allocation, density, a, b):
    assert masks(find(allocation)({"a": A, "b": B}, density, LINEAR)) == {"a": a, "b": b}


def test_lamp():
    # Squares over those not smaller. a: 1, .64/1.45 = .44, .25/1.7 = .15, ...; b: 1, .7225/1.625 = .44 (a little more),
    # .5625/2.1875 = .26, .16, whatever its scale.
    for scale in (1, 0.01, 100):
        kept = find("lamp")({"a": A, "b": scale * B}, 0.5, LINEAR)
        assert masks(kept) == {"a": [[1, 0, 0], [0, 1, 0]], "b": [[1, 1], [0, 1]]}
    assert masks(find("lamp")({"a": A, "b": B}, 0.3, LINEAR)) == {"a": [[1, 0, 0], [0, 0, 0]], "b": [[0, 1], [0, 1]]}


@pytest.mark.parametrize(
    ("allocation", "density", "conv", "neuron"),
    [
        # 2 + 2 + 2 for the convolution, 4 + 1 for the neuron: 6 x 6/11 = 3.27 and 2.73
        ("erk", 0.5, [[[1, 0], [0, 0]], [[0, 1], [1, 0]]], [[1, 1, 0, 1]]),
        # the pairs of channels count once for each entry: 8 to 5, 3.69 and 2.31
        ("er", 0.5, [[[1, 0], [0, 0]], [[0, 1], [1, 1]]], [[0, 1, 0, 1]]),
        # 11 in all: 5 would be more than the neuron has, 4 are not
        ("erk", 0.9, [[[1, 1], [1, 1]], [[0, 1], [1, 1]]], [[1, 1, 1, 1]]),
        # means 3, 1, 4.5, 3 and 2, 5, 0.5, 3: 5, 4.5 and the first of the 3 are five weights, the next would make seven
        ("kernels", 0.5, [[[1, 1], [0, 0]], [[1, 1], [0, 0]]], [[0, 1, 0, 0]]),
        # means 2, 3.75 and 2.625: one filter of four, two would be eight
        ("filters", 0.5, [[[0, 0], [0, 0]], [[1, 1], [1, 1]]], [[0, 0, 0, 0]]),
    ],
)
def test_a_convolution_and_a_neuron(allocation, density, conv, neuron):
    kept = find(allocation)({"conv": CONV, "neuron": NEURON}, density, MIXED)
    assert masks(kept) == {"conv": conv, "neuron": neuron}


@pytest.mark.parametrize(
    ("allocation", "density", "expected"),
    [
        ("2:4", None, [[1, 1, 0, 0], [0, 0, 1, 1]]),
        ("1:2", None, [[1, 0, 1, 0], [0, 1, 1, 0]]),
        ("1:2", 0.9, [[1, 0, 1, 0], [0, 1, 1, 0]]),
        ("1:2", 0.25, [[0, 0, 0, 0], [0, 1, 1, 0]]),
        ("4:4", None, [[1, 1, 1, 1], [1, 1, 1, 1]]),
        ("fan-in=3", None, [[1, 1, 1, 0], [0, 1, 1, 1]]),
        # the 5 is excluded: 8, 7, 6 and then 4
        ("fan-in=3", 0.5, [[1, 0, 0, 0], [0, 1, 1, 1]]),
        ("fan-out=1", None, [[0, 0, 0, 0], [1, 1, 1, 1]]),
        ("fan-out=1", 0.25, [[0, 0, 0, 0], [0, 0, 1, 1]]),
        ("fan-out=2", None, [[1, 1, 1, 1], [1, 1, 1, 1]]),
    ],
)
def test_limits(allocation, density, expected):
    assert masks(find(allocation)({"w": WIDE}, density, ONE)) == {"w": expected}


def test_densities_given_by_hand():
    kept = find({"a": 0.5, "b": 0.25})({"a": A, "b": B}, 0.9, LINEAR)
    assert masks(kept) == {"a": [[1, 0, 1], [0, 1, 0]], "b": [[0, 1], [0, 0]]}


def test_a_channel_of_a_transposed_convolution_has_its_weights_on_the_second_axis():
    # weight (in 2, out 2, 2): 1 2 and 8 1 lead into channel 0, 3 4 and 5 6 into channel 1
    scores = {"w": torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[8.0, 1.0], [5.0, 6.0]]])}
    geometries = {"w": static_geometry(nn.ConvTranspose1d(2, 2, 2))}
    assert masks(find("filters")(scores, 0.5, geometries)) == {"w": [[[0, 0], [1, 1]], [[0, 0], [1, 1]]]}
    assert masks(find("fan-in=1")(scores, None, geometries)) == {"w": [[[0, 0], [0, 0]], [[1, 0], [0, 1]]]}
    assert masks(find("fan-out=1")(scores, None, geometries)) == {"w": [[[0, 0], [0, 1]], [[1, 0], [0, 0]]]}
    assert masks(find("kernels")(scores, 0.5, geometries)) == {"w": [[[0, 0], [0, 0]], [[1, 1], [1, 1]]]}
