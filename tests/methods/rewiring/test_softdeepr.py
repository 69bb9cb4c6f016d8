"""Soft Deep R: noise for all synapses, gradients for existing ones."""

import math

import pytest
import torch

from snnprune import InputError
from snnprune.methods import SoftDeepR
from tests.methods.small import single, step


def test_a_step_by_hand_without_visible_noise():
    network, optimizer = single([0.5, -0.5, 0.05], lr=0.1)
    method = SoftDeepR(network, optimizer, alpha=1.0, temperature=1e-16, floor=-0.2)
    weights = step(network, optimizer, [1.0, 1.0, 1.0])
    # theta - 0.1 s g - 0.1: 0.5 - 0.2, 0.5 + 0.1 - 0.1, 0.05 - 0.2
    assert weights.tolist() == pytest.approx([0.3, -0.5, 0.0], abs=1e-6)
    assert method.state["hidden"]["weight"][0, 2].item() == pytest.approx(-0.15, abs=1e-6)
    step(network, optimizer, [0.0, 0.0, -9.0])  # dormant strengths have no gradient; the prior stops at the floor
    assert method.state["hidden"]["weight"][0, 2].item() == pytest.approx(-0.2, abs=1e-6)


def test_noise_has_the_temperature_asked_for_and_follows_the_seed():
    trained = []
    for seed in (0, 0, 1):
        network, optimizer = single([1.0] * 4000, lr=0.1)
        SoftDeepR(network, optimizer, alpha=1e-9, temperature=0.002, seed=seed)
        trained.append(step(network, optimizer).clone() - 1)
    assert torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], trained[2])
    assert trained[0].std().item() == pytest.approx(math.sqrt(2 * 0.1 * 0.002), rel=0.05)


def test_pressure_and_noise_alone_keep_the_share_dormant_that_was_asked_for():
    network, optimizer = single([0.1] * 3000, lr=0.0005)  # small steps: the floor stops strengths that fall below it
    method = SoftDeepR(network, optimizer, alpha=1.0, temperature=0.05, sparsity=0.8)
    assert method.floor == pytest.approx(0.05 * math.log(0.2))
    for _ in range(1000):
        step(network, optimizer)
    assert method.connectivity().sparsity == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, since only noise regrows synapses; found 0.0"),
        ({"temperature": math.inf}, "temperature must be above 0, since only noise regrows synapses; found inf"),
        ({"floor": 0.1}, "floor must be 0 or less, found 0.1"),
        ({"floor": math.nan}, "floor must be 0 or less, found nan"),
    ],
)
def test_values_outside_their_range_are_refused(options, message):
    network, optimizer = single([1.0, 2.0])
    with pytest.raises(InputError, match=message):
        SoftDeepR(network, optimizer, **options)
