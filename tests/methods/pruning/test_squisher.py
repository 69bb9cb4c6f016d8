"""Squisher, and the sizes of gradients in the state of optimizers."""

import pytest
import torch
from torch import nn
from torch.optim import SGD

from snnprune import InputError, methods
from snnprune.methods import Squisher
from snnprune.methods.optimizer_state import gradient_sizes, keeps_squares
from tests.methods.small import kept, single, step

ADAPTIVE = {
    "Adam": 0.001,  # the share of the first gradient's square in the mean after one step
    "AdamW": 0.001,
    "NAdam": 0.001,
    "RAdam": 0.001,
    "RMSprop": 0.01,
    "Adadelta": 0.1,
    "Adagrad": 1.0,
}


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_kept_synapses_by_hand(power):
    network, optimizer = single([4.0, 1.0, 3.0, 2.0], lr=1e-9)
    method = Squisher(network, optimizer, density=0.5, steps=1, end=1.0, schedule="one-shot", power=power)
    step(network, optimizer, [1.0, 100.0, 0.0, 4.0])
    # |w| rms(g)^p:   p=0: 4 1 3 2    p=1/2: 4 10 0 4    p=1: 4 100 0 8, times a common factor
    assert kept(method) == {0.0: [0, 2], 0.5: [0, 1], 1.0: [1, 3]}[power]


def test_without_any_gradient_yet_it_is_magnitude():
    network, optimizer = single([4.0, 1.0, 3.0, 2.0])
    method = Squisher(network, optimizer, density=0.5, steps=4, end=0.0, schedule="one-shot")
    step(network, optimizer, [0.0, 100.0, 0.0, 0.0])
    assert kept(method) == [0, 2]


@pytest.mark.parametrize("name", ADAPTIVE)
def test_the_means_that_optimizers_keep_are_found(name):
    network = nn.Linear(4, 1, bias=False)
    optimizer = getattr(torch.optim, name)(network.parameters(), lr=1e-9)
    assert keeps_squares(optimizer)
    step(network, optimizer, [1.0, -2.0, 0.0, 3.0])
    (sizes,) = gradient_sizes(optimizer, dict(network.named_parameters())).values()
    assert sizes.tolist() == [pytest.approx([ADAPTIVE[name] ** 0.5 * size for size in (1.0, 2.0, 0.0, 3.0)])]


def test_for_others_it_is_kept_here():
    network, optimizer = single([1.0, 1.0], lr=1e-9)
    assert not keeps_squares(optimizer)
    method = Squisher(network, optimizer, density=0.5, steps=9)
    step(network, optimizer, [2.0, 0.0])
    step(network, optimizer, [4.0, 1.0])
    assert method.state["square"]["weight"].tolist() == [pytest.approx([0.001 * (0.999 * 4 + 16), 0.001])]


def test_a_tensor_without_gradient_counts_as_the_others_on_average():
    network = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False))
    optimizer = torch.optim.Adagrad(network.parameters())
    network[0].weight.grad = torch.tensor([[1.0, 3.0]])
    optimizer.state.pop(network[1].weight)  # Adagrad's starts with zeros; others have none before the first gradient
    optimizer.step()
    sizes = gradient_sizes(optimizer, dict(network.named_parameters()))
    assert sizes["1.weight"].tolist() == [[2.0, 2.0]]
    assert gradient_sizes(torch.optim.Adam(network.parameters()), dict(network.named_parameters()))[
        "0.weight"
    ].tolist() == [[1.0, 1.0]]


def test_a_negative_power_is_refused():
    network, optimizer = single([1.0, 1.0])
    with pytest.raises(InputError, match="power must be 0 or more, found -1"):
        methods.create("squisher", network, optimizer, steps=2, density=0.5, power=-1)


def test_a_mean_of_squares_fades_for_weights_with_few_digits_too():
    network = nn.Linear(2, 1, bias=False).to(torch.bfloat16)
    optimizer = SGD(network.parameters(), lr=0.1)
    method = Squisher(network, optimizer, density=0.5, steps=2000)
    for gradient in [1.0] + 1000 * [0.0]:
        network.weight.grad = torch.full_like(network.weight, gradient)
        optimizer.step()
    assert method.state["square"]["weight"][0, 0].item() == pytest.approx(1e-3 * 0.999**1000, rel=1e-3)
