"""STDS: its dead zone computed by hand, to a width and to a density."""

import logging
import math

import pytest
import torch
from torch import nn
from torch.optim import SGD

from snnprune.methods import STDS
from snnprune.methods.rewiring.stds import _reveal
from tests.methods.small import kept, push, single, step


def test_weights_are_the_parts_outside_of_the_dead_zone():
    network, optimizer = single([1.0, -1.0, 0.3, -0.3, 0.5])
    method = STDS(network, optimizer, steps=4, width=2.0, growth="linear")
    assert step(network, optimizer).tolist() == pytest.approx([0.5, -0.5, 0, 0, 0])  # d = 0.5
    assert kept(method) == [0, 1]
    # d = 1; the gradient moves dormant synapses, which may regrow with the other sign
    weights = step(network, optimizer, [-0.5, 0.25, 2.0, -1.5, 0.0])
    assert weights.tolist() == pytest.approx([0.5, -0.25, -0.7, 0.2, 0])
    assert method.state["hidden"]["weight"].tolist() == [pytest.approx([1.5, -1.25, -1.7, 1.2, 0.5])]
    assert float(method.dead_zone) == 1.0


def test_the_dead_zone_grows_on_half_a_sine_or_a_line():
    widths = {}
    for growth in ("sine", "linear"):
        network, optimizer = single([1.0])
        method = STDS(network, optimizer, steps=8, width=2.0, growth=growth)
        widths[growth] = [method.width_at(count) for count in (0, 2, 4, 8, 9)]
    assert widths["linear"] == pytest.approx([0, 0.5, 1, 2, 2])
    assert widths["sine"] == pytest.approx([0, 1 - math.sqrt(0.5), 1, 2, 2])


def test_stds_by_density_sets_the_zone_at_the_largest_that_has_to_go():
    network, optimizer = single([1.0, -0.8, 0.6, -0.4])
    method = STDS(network, optimizer, steps=2, density=0.5, settle=1.0)
    weights = step(network, optimizer)  # 0.5 + 0.5 / 8 of 4 synapses: 2
    assert weights.tolist() == pytest.approx([0.4, -0.2, 0, 0])
    assert float(method.dead_zone) == pytest.approx(0.6)
    step(network, optimizer, [0.0, 0.0, -0.3, 0.0])  # the third becomes larger than the second
    assert kept(method) == [0, 2]
    assert network.weight.tolist() == [pytest.approx([0.2, 0, 0.1, 0])]
    assert set(method.state) == {"mask"}
    assert step(network, optimizer, 1.0).tolist() == pytest.approx([-0.8, 0, -0.9, 0])


def test_the_dead_zone_of_float64_weights_is_not_rounded():
    torch.manual_seed(0)
    network = nn.Linear(40, 10, bias=False).double()
    optimizer = SGD(network.parameters(), lr=0.01)
    method = STDS(network, optimizer, steps=40, density=0.2, settle=1.0)
    found, expected = [], []
    for count in range(39):
        push(network, optimizer, count, count + 1)
        found.append(method.connectivity().nonzero)
        expected.append(round(400 * method.schedule.density_at(count + 1)))
    assert found == expected
    assert method.state_dict()["width"].dtype == torch.float64


def test_on_a_device_the_dead_zone_is_not_read_back_and_the_weights_are_the_same():
    hidden, width = torch.randn(1000), torch.tensor(0.3)

    class Elsewhere:
        device = torch.device("cuda")

        def __neg__(self):
            return -width

        @classmethod
        def __torch_function__(cls, function, _types, arguments=(), options=None):
            plain = [width if isinstance(argument, Elsewhere) else argument for argument in arguments]
            return function(*plain, **(options or {}))

    here, there = torch.empty(1000), torch.empty(1000)
    _reveal(hidden, width, here)
    _reveal(hidden, Elsewhere(), there)
    assert torch.equal(here, there)
    assert torch.equal(here, hidden.sign() * (hidden.abs() - width).clamp(min=0))


def test_stds_finalized_early_prunes_to_its_density_whether_gradients_are_left_or_not(caplog):
    results = []
    for clear in (False, True):
        network, optimizer = single([1.0, -0.8, 0.6, -0.4])
        method = STDS(network, optimizer, steps=1000, density=0.5)
        step(network, optimizer)
        if clear:
            optimizer.zero_grad()
        with caplog.at_level(logging.WARNING):
            assert method.finalize().nonzero == 2
        results.append(network.weight.tolist())
    assert results[0] == results[1] == [pytest.approx([0.4, -0.2, 0, 0])]
    assert caplog.text.count("finalize() after 1 of 1000 steps: pruning to density 0.5 at once") == 2
