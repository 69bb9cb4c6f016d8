"""Training of a given connectivity: for tickets, transfer and controls."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snnprune import Connectivity, InputError, methods
from snnprune.methods import Fixed, shuffled
from tests.methods.small import kept, single, step

MASK = Connectivity({"weight": torch.tensor([[True, False, True, False]])})


def test_only_given_synapses_are_trained():
    network, optimizer = single([1.0, 2.0, 3.0, 4.0])
    method = Fixed(network, optimizer, connectivity=MASK)
    assert step(network, optimizer, 0.5).tolist() == [0.5, 0, 2.5, 0]
    assert kept(method) == [0, 2]


def test_a_file_is_as_good(tmp_path):
    MASK.save(tmp_path / "found.safetensors")
    network, optimizer = single([1.0, 2.0, 3.0, 4.0])
    method = methods.create("fixed", network, optimizer, steps=3, connectivity=tmp_path / "found.safetensors")
    step(network, optimizer)
    assert method.finalize() == MASK


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), density=st.floats(0.05, 1))
def test_shuffling_keeps_the_number_in_each_layer(seed, density):
    found = Connectivity.from_scores({"a": torch.rand(7, 3), "b": torch.rand(2, 2, 3, 3)}, density)
    drawn = shuffled(found, seed)
    assert drawn.layers() == found.layers()
    assert shuffled(found, seed) == drawn


def test_shuffling_is_uniform():
    one = Connectivity({"a": torch.tensor([True, False, False, False])})
    positions = [int(shuffled(one, seed)["a"].nonzero()) for seed in range(400)]
    assert all(60 <= positions.count(position) <= 140 for position in range(4))  # 100 expected, sd 8.7


def test_a_connectivity_of_another_network_is_refused():
    network, optimizer = single([1.0, 2.0, 3.0])
    with pytest.raises(InputError, match=r"weight is \(1, 4\) in the first and \(1, 3\) in the second"):
        Fixed(network, optimizer, connectivity=MASK)


def test_excluded_synapses_cannot_be_fixed():
    network = nn.Sequential(nn.Linear(4, 1, bias=False), nn.Linear(1, 2, bias=False))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with pytest.raises(InputError, match=r"the connectivity has 0\.weight, which exclude leaves out"):
        Fixed(network, optimizer, connectivity=Connectivity({"0.weight": MASK["weight"]}), exclude=["0"])
