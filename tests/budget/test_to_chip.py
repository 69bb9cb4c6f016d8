"""Pruning to a chip: what is kept fits, whatever the scores."""

from dataclasses import replace
from itertools import pairwise, product
from math import ceil, log2
from operator import ge

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import Adam

from snnprune import Connectivity, InputError, geometry, methods
from snnprune.budget import find_chip, to_chip, wire
from snnprune.budget.chip import Chip, Fact
from snnprune.budget.placement import fit
from snnprune.budget.placement.channels import channels_that_fit


def chip(key: str, **limits: int) -> Chip:
    return replace(find_chip(key), limits={name: Fact(value, "here", True) for name, value in limits.items()})


def net(*sizes: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in pairwise(sizes)))


def chosen(
    network: nn.Module, mine: Chip, density: float, scores: dict[str, Tensor], now: float | None = None
) -> Connectivity:
    layers = wire(network, torch.zeros(1, 6))
    return to_chip(layers, mine, density=density)(scores, now or density, geometry(network))


def test_the_largest_inputs_of_each_neuron_by_hand():
    network = net(6, 2)
    scores = {"0.weight": torch.tensor([[1.0, 6.0, 2.0, 5.0, 3.0, 4.0], [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]])}
    kept = chosen(network, chip("truenorth", fan_in=2), 0.25, scores)
    assert kept["0.weight"].tolist() == [[False, True, False, True, False, False], [True, False] + [False] * 4]
    more = chosen(network, chip("truenorth", fan_in=2), 0.9, scores)
    assert more["0.weight"].sum(1).tolist() == [2, 2]  # the limit allows no more
    assert chosen(network, chip("truenorth", fan_in=2), 0.25, scores, now=0.9).nonzero == 11  # still on the way


def test_the_inputs_of_the_network_are_not_limited_in_their_targets():
    network = net(6, 3, 5)
    scores = {"0.weight": torch.rand(3, 6), "1.weight": torch.rand(5, 3)}
    kept = chosen(network, chip("tianjic", fan_out=2), 1.0, scores)
    assert kept["0.weight"].all()
    assert kept["1.weight"].sum(0).tolist() == [2, 2, 2]


def test_what_reaches_the_one_core_of_a_xylo():
    network = net(6, 8, 3)
    scores = {"0.weight": torch.rand(8, 6) + 0.1, "1.weight": torch.rand(3, 8) + 0.1}
    kept = chosen(
        network, chip("xylo-audio-3", input_targets=3, output_sources=2, hidden_neurons=8, mean_fan_out=1), 1.0, scores
    )
    assert kept["0.weight"].any(1).sum() == 3
    assert kept["1.weight"].any(0).sum() == 2
    assert kept["1.weight"].sum() == 6
    few = chosen(network, chip("xylo-audio-3", input_targets=8, hidden_neurons=4, mean_fan_out=1), 1.0, scores)
    assert few["1.weight"].sum() == 4


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(1, 6), st.floats(0.05, 1), st.integers(0, 1000))
def test_what_is_kept_always_fits(fan_in, fan_out, density, seed):
    torch.manual_seed(seed)
    network = net(6, 7, 4)
    mine = chip("tianjic", cores=1000, core_neurons=3, core_input_axons=5, fan_in=fan_in, fan_out=fan_out)
    scores = {name: torch.rand_like(weight) for name, weight in network.named_parameters()}
    kept = chosen(network, mine, density, scores)
    assert kept.nonzero <= round(density * kept.prunable)
    assert fit(wire(network, torch.zeros(1, 6), connectivity=kept), mine).verdict == "fits"


@pytest.mark.parametrize("method", ["gmp", "gradr", "squisher"])
def test_a_training_ends_with_a_network_that_fits(method):
    torch.manual_seed(0)
    network = net(6, 8, 3)
    mine = chip("truenorth", cores=100, core_neurons=4, fan_in=2)
    allocation = to_chip(wire(network, torch.zeros(1, 6)), mine, density=0.3)
    optimizer = Adam(network.parameters(), lr=1e-2)
    rewired = methods.create(method, network, optimizer, steps=30, density=0.3, allocation=allocation)
    for _ in range(30):
        optimizer.zero_grad()
        network(torch.randn(8, 6)).square().mean().backward()
        optimizer.step()
    kept = rewired.finalize()
    assert kept.nonzero == round(0.3 * 72)
    assert fit(wire(network, torch.zeros(1, 6), connectivity=kept), mine).verdict == "fits"


def test_channels_go_down_to_the_next_power_of_two_by_hand():
    network = net(6, 7, 3)
    # 6 inputs * 2^3 and 7 inputs * 2^2 words are too many; with 4 hidden neurons 24 and 16.
    mine = replace(find_chip("speck"), limits={"kernel_words": Fact((24, 24), "here", True)})
    scores = {"0.weight": torch.arange(42.0).reshape(7, 6), "1.weight": torch.ones(3, 7)}
    kept = chosen(network, mine, 1.0, scores)
    assert kept["0.weight"].any(1).tolist() == [False] * 3 + [True] * 4
    assert kept["1.weight"].any(0).tolist() == [False] * 3 + [True] * 4  # nobody hears the others
    assert fit(wire(network, torch.zeros(1, 6), connectivity=Connectivity.dense(network)), mine).verdict == "cannot"
    assert fit(wire(network, torch.zeros(1, 6), connectivity=kept), mine).verdict == "fits"


def test_each_position_of_a_channel_that_goes_is_heard_no_more():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4 * 9, 3, bias=False)
    )
    example = torch.zeros(1, 1, 6, 6)
    # 2^(4 + 2) words for the convolution, 4 * 2^(4 + 2) for the layer that hears its map; with two channels half.
    mine = replace(find_chip("speck"), limits={"kernel_words": Fact((64, 128), "here", True)})
    scores = {"0.weight": torch.ones(4, 1, 3, 3), "3.weight": torch.ones(3, 36)}
    scores["0.weight"][2:] = 2.0
    layers = wire(network, example, connectivity=Connectivity.dense(network))
    kept = to_chip(layers, mine, density=1.0)(scores, 1.0, geometry(network))
    assert kept["0.weight"].any((1, 2, 3)).tolist() == [False, False, True, True]
    assert kept["3.weight"].any(0).tolist() == [False] * 18 + [True] * 18
    assert fit(wire(network, example, connectivity=kept), mine).verdict == "fits"


def test_groups_hear_the_channels_that_are_theirs():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 1, bias=False), nn.Conv2d(4, 6, 1, groups=2, bias=False), nn.Flatten(), nn.Linear(24, 2)
    )
    example = torch.zeros(1, 1, 2, 2)
    layers = wire(network, example, connectivity=Connectivity.dense(network))
    # 1 * 2^(0 + 2), 4 * 2^(0 + 3) and 6 * 2^(2 + 1) words; with two channels in the first, 2, 16 and 48.
    mine = replace(find_chip("speck"), limits={"kernel_words": Fact((2, 16, 48), "here", True)})
    scores = {"0.weight": torch.tensor([1.0, 3.0, 2.0, 1.0]).view(4, 1, 1, 1)}
    scores |= {"1.weight": torch.ones(6, 2, 1, 1), "3.weight": torch.ones(2, 24)}
    kept = to_chip(layers, mine, density=1.0)(scores, 1.0, geometry(network))
    assert kept["0.weight"].flatten().tolist() == [False, True, True, False]
    assert kept["1.weight"][:, :, 0, 0].tolist() == 3 * [[False, True]] + 3 * [[True, False]]
    assert fit(wire(network, example, connectivity=kept), mine).verdict == "fits"


def test_what_lies_between_two_layers_may_not_be_known():
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 8, bias=False), nn.Linear(11, 2, bias=False)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.second(nn.functional.pad(self.first(inputs), (0, 3)))

    network = Padded()
    mine = replace(find_chip("speck"), limits={"kernel_words": Fact((24, 24), "here", True)})
    scores = {name: torch.rand_like(parameter) for name, parameter in network.named_parameters()}
    kept = chosen(network, mine, 1.0, {name: score.detach() for name, score in scores.items()})
    assert kept["first.weight"].any(1).sum() == 4
    assert kept["second.weight"].all()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=4), st.lists(st.integers(2, 300), min_size=5, max_size=5))
def test_no_numbers_of_channels_leave_the_narrowest_layer_more(sizes, memories):
    network = net(*sizes, 3)
    layers = wire(network, torch.zeros(1, sizes[0]), connectivity=Connectivity.dense(network))
    mine = replace(find_chip("speck"), limits={"kernel_words": Fact(tuple(memories), "here", True)})

    def narrowed(n: int, halvings: int) -> int:
        for _ in range(halvings):
            n = 2 ** (ceil(log2(n)) - 1) if n > 1 else 1
        return n

    def fits(hidden: list[int]) -> bool:
        words = [a * 2 ** ceil(log2(b)) for a, b in pairwise([sizes[0], *hidden, 3])]
        return all(need <= core for need, core in zip(sorted(words), sorted(memories)[-len(words) :], strict=True))

    every = {halvings: [*map(narrowed, sizes[1:], halvings)] for halvings in product(range(5), repeat=len(sizes) - 1)}
    possible = {halvings: hidden for halvings, hidden in every.items() if fits(hidden)}
    found = channels_that_fit(layers, mine)
    if found is None:
        assert not possible
    else:
        hidden = found[:-1]
        assert fits(hidden)
        taken = next(halvings for halvings, counts in possible.items() if counts == hidden)
        assert max(taken, default=0) == min(max(halvings, default=0) for halvings in possible)
        wider = [counts for counts in possible.values() if all(map(ge, counts, hidden)) and counts != hidden]
        assert not wider  # and none can be doubled again


def test_no_number_of_channels_can_be_small_enough():
    mine = replace(find_chip("speck"), limits={"kernel_words": Fact((2, 2), "here", True)})
    with pytest.raises(InputError, match=r"no number of channels of this network is small enough for Speck 2e / 2f"):
        to_chip(wire(net(6, 7, 3), torch.zeros(1, 6)), mine, density=0.1)


def test_a_chip_without_limits_to_prune_to_says_so():
    with pytest.raises(InputError, match="SpiNNaker 1 has no limit that single neurons or channels must keep"):
        to_chip(wire(net(6, 2), torch.zeros(1, 6)), find_chip("spinnaker1"), density=0.1)
