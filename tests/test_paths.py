from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import layer, neuron
from torch import nn

from snnprune import Connectivity, InputError, dead_neurons, effective_connectivity
from snnprune.graph.flow import flow


def chain(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out, bias=True), neuron.LIFNode()]
    return nn.Sequential(*layers)


def test_dead_neurons_by_hand():
    # 2 -> 3 -> 1. Hidden 0 has no input, hidden 1 no output, hidden 2 is alive.
    network = chain(2, 3, 1)
    kept = Connectivity(
        {
            "0.weight": torch.tensor([[False, False], [True, True], [True, False]]),
            "2.weight": torch.tensor([[True, False, True]]),
        }
    )
    effective = effective_connectivity(network, kept, torch.rand(1, 2))
    assert effective["0.weight"].tolist() == [[False, False], [False, False], [True, False]]
    assert effective["2.weight"].tolist() == [[False, False, True]]
    assert effective.nonzero == 2
    dead = dead_neurons(network, kept, torch.rand(1, 2))
    assert dead["0.weight"].tolist() == [True, True, False]
    assert dead["2.weight"].tolist() == [False]


def test_the_network_is_left_as_it_was():
    network = chain(2, 3, 1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    effective_connectivity(network, Connectivity.dense(network), torch.rand(1, 2))
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network[1].v == 0.0


def slow_effective(masks: list[torch.Tensor]) -> list[torch.Tensor]:
    """Remove synapses of neurons without input or output until nothing changes."""
    masks = [mask.clone() for mask in masks]
    while True:
        before = [mask.clone() for mask in masks]
        for first, second in pairwise(masks):
            first[~second.any(0)] = False
            second[:, ~first.any(1)] = False
        if all(torch.equal(old, new) for old, new in zip(before, masks, strict=True)):
            return masks


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), density=st.floats(0.05, 0.6))
def test_equals_removing_dead_neurons_one_after_another(seed, density):
    network = chain(5, 6, 4, 5, 3)
    generator = torch.Generator().manual_seed(seed)
    masks = {
        name: torch.rand(mask.shape, generator=generator) < density
        for name, mask in Connectivity.dense(network).items()
    }
    effective = effective_connectivity(network, Connectivity(masks), torch.rand(1, 5))
    for mask, expected in zip(effective.values(), slow_effective(list(masks.values())), strict=True):
        assert torch.equal(mask, expected)


def convolutional(step_mode: str) -> nn.Sequential:
    return nn.Sequential(
        layer.Conv2d(1, 3, 3, padding=1, step_mode=step_mode),
        layer.BatchNorm2d(3, step_mode=step_mode),
        neuron.LIFNode(step_mode=step_mode),
        layer.MaxPool2d(2, 2, step_mode=step_mode),
        layer.ConvTranspose2d(3, 4, 2, stride=2, step_mode=step_mode),
        layer.Dropout(0.5, step_mode=step_mode),
        layer.Flatten(step_mode=step_mode),
        layer.Linear(4 * 64, 2, step_mode=step_mode),
    )


@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_convolutions_pooling_and_normalisation(step_mode):
    network = convolutional(step_mode)
    nn.init.constant_(network[1].weight, -1.0)  # a negative scale must not hide a path
    example = torch.rand(1, 1, 8, 8) if step_mode == "s" else torch.rand(2, 1, 1, 8, 8)
    dense = Connectivity.dense(network)
    assert effective_connectivity(network, dense, example) == dense
    masks = dict(dense)
    masks["4.weight"][1] = False  # no synapse leaves channel 1 of the first convolution
    masks["7.weight"][:, 64:128] = False  # nor from channel 1 of the transposed one
    dead = dead_neurons(network, Connectivity(masks), example)
    assert dead["0.weight"].tolist() == [False, True, False]
    assert dead["4.weight"].tolist() == [False, True, False, False]


def test_a_residual_path_keeps_a_neuron_alive():
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.last = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            return self.last(x + self.second(x))

    network = Residual()
    masks = dict(Connectivity.dense(network))
    masks["second.weight"].fill_(False)
    effective = effective_connectivity(network, Connectivity(masks), torch.rand(1, 2))
    assert effective["first.weight"].all()


def test_grouped_transposed_channels_keep_their_order():
    network = nn.Sequential(nn.ConvTranspose1d(4, 6, 1, groups=2), nn.Flatten(), nn.Linear(6, 1))
    masks = dict(Connectivity.dense(network))
    masks["0.weight"][2:, 1] = False  # the second group's middle output: channel 4
    dead = dead_neurons(network, Connectivity(masks), torch.rand(1, 4, 1))
    assert dead["0.weight"].tolist() == [False, False, False, False, True, False]


def test_the_average_pool_stands_in_for_every_dimension():
    for kind, convolution, size in ((nn.MaxPool1d, nn.Conv1d, (8,)), (nn.MaxPool3d, nn.Conv3d, (4, 4, 4))):
        network = nn.Sequential(convolution(1, 2, 1), kind(2))
        dense = Connectivity.dense(network)
        assert effective_connectivity(network, dense, torch.rand(1, 1, *size)) == dense


def test_the_exact_flow_by_hand():
    # 2 -> 2 -> 1: ones become 3 and 7, and the last layer multiplies them by 5 and 6
    network = chain(2, 2, 1)
    network(torch.rand(1, 2))
    weights = {"0.weight": torch.tensor([[1.0, 2], [3, 4]]).double(), "2.weight": torch.tensor([[5.0, 6]]).double()}
    before = network[1].v.clone()
    slopes = flow(network, weights, torch.rand(1, 2))
    assert slopes["0.weight"].tolist() == [[5, 5], [6, 6]]
    assert slopes["2.weight"].tolist() == [[3, 7]]
    assert slopes["0.weight"].dtype == torch.float64
    assert torch.equal(network[1].v, before)


def test_a_connectivity_of_another_network_is_refused():
    with pytest.raises(InputError, match=r"nothing is .* absent in the second"):
        effective_connectivity(
            chain(2, 1), Connectivity({"nothing": torch.ones(1, dtype=torch.bool)}), torch.rand(1, 2)
        )
