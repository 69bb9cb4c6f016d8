"""Movement, Drop Pruning, ADMM and ESPN: their steps computed by hand."""

import pytest
import torch

from snnprune import InputError
from snnprune.methods import ADMM, ESPN, DropPruning, Movement, Phase
from tests.methods.small import kept, single, step


def test_movement_sums_the_steps_away_from_zero():
    network, optimizer = single([1.0, -1.0, 3.0, 0.5], lr=0.1)
    method = Movement(network, optimizer, density=0.5, steps=2, end=1.0, schedule="one-shot")
    step(network, optimizer, [-1.0, 1.0, 1.0, 0.0])
    # S = -0.1 g w: towards larger sizes for the first two, towards 0 for the third
    assert method.state["movement"]["weight"].tolist() == [pytest.approx([0.1, 0.1, -0.3, 0.0])]
    step(network, optimizer, [-1.0, 1.0, 1.0, -4.0])
    assert method.state["movement"]["weight"].tolist() == [pytest.approx([0.21, 0.21, -0.59, 0.2])]
    assert kept(method) == [0, 1]


def test_drop_pruning_keeps_the_count_and_lets_some_come_back():
    network, optimizer = single([float(size) for size in range(1, 101)])
    method = DropPruning(network, optimizer, density=0.2, steps=20, end=1.0, every=1, p_in=0.5, p_out=0.5)
    regrown, before = 0, set(range(100))
    for count in range(1, 21):
        step(network, optimizer)
        now = set(kept(method))
        regrown += len(now - before)
        before = now
        assert len(now) == round(100 * (0.2 + 0.8 * (1 - count / 20) ** 3))
    assert regrown > 0


def test_drop_pruning_draws_among_the_smallest_only():
    network, optimizer = single([float(size) for size in range(1, 11)])
    method = DropPruning(network, optimizer, density=0.1, steps=2, end=1.0, every=1, schedule="linear", p_out=0.8)
    step(network, optimizer)  # 10 to 6 (5.5, to even): 4 of the 5 smallest are dropped
    assert set(range(5, 10)) < set(kept(method))
    assert len(kept(method)) == 6
    step(network, optimizer)  # the last update is deterministic
    assert kept(method) == [9]


def test_drop_pruning_without_chance_is_gradual_magnitude_pruning():
    network, optimizer = single([0.3, 0.1, 0.2, 0.4])
    method = DropPruning(network, optimizer, density=0.5, steps=2, end=0.5, p_in=0.0, p_out=1.0)
    step(network, optimizer)
    assert kept(method) == [0, 3]


def test_admm_pulls_towards_its_projection_by_hand():
    network, optimizer = single([4.0, 3.0, 1.0, 2.0], lr=0.5)
    method = ADMM(network, optimizer, density=0.5, steps=10, rho=1.0, begin=0.1, period=0.1, end=0.4)
    step(network, optimizer)  # ends with Z = (4, 3, 0, 0), U = W - Z = (0, 0, 1, 2)
    assert method.state["target"]["weight"].tolist() == [[4.0, 3.0, 0.0, 0.0]]
    assert method.state["dual"]["weight"].tolist() == [[0.0, 0.0, 1.0, 2.0]]
    # the pull is W - Z + U = (0, 0, 2, 4): W = (4, 3, 0, 0); W + U = (4, 3, 1, 2): Z as before, U += W - Z
    assert step(network, optimizer).tolist() == [4.0, 3.0, 0.0, 0.0]
    assert method.state["dual"]["weight"].tolist() == [[0.0, 0.0, 1.0, 2.0]]
    step(network, optimizer)
    step(network, optimizer)
    assert kept(method) == [0, 1]
    assert set(method.state) == {"mask"}
    assert step(network, optimizer, 1.0).tolist() == [3.5, 2.5, 0.0, 0.0]  # no pull any more


def test_espn_trains_a_mask_under_pressure_while_weights_stand_still():
    network, optimizer = single([2.0, -1.0, 1.0, 4.0], lr=0.1)
    method = ESPN(network, optimizer, density=0.5, steps=10, pressure=0.5, begin=0.1, end=0.3)
    step(network, optimizer, [1.0, 0.0, 0.0, 0.0])  # an ordinary step: 1.9
    assert method.phase is Phase.SEARCHING
    # dL/dm = g w + 0.5 = (2.4, -0.5, 0.5, 0.5): m = 1 - 0.1 of that, and the weights are w m
    weights = step(network, optimizer, [1.0, 1.0, 0.0, 0.0])
    assert method.state["soft"]["weight"].tolist() == [pytest.approx([0.76, 1.05, 0.95, 0.95])]
    assert weights.tolist() == pytest.approx([1.9 * 0.76, -1.05, 0.95, 4 * 0.95])
    weights = step(network, optimizer, [0.0, 0.0, 0.0, 1.0])  # m = (.71, 1.0, .9, .5)
    assert kept(method) == [1, 2]
    assert weights.tolist() == pytest.approx([0, -1.0, 0.9, 0])
    assert step(network, optimizer, 1.0).tolist() == pytest.approx([0, -1.1, 0.8, 0])


def test_espn_can_learn_its_mask_from_the_first_step_on():
    network, optimizer = single([1.0, 2.0], lr=0.1)
    method = ESPN(network, optimizer, density=0.5, steps=10, begin=0.0, end=0.3, pressure=0.5)
    step(network, optimizer, [1.0, -1.0])
    assert method.phase is Phase.SEARCHING
    # m = 1 - 0.1 (g w + 0.5)
    assert method.state["soft"]["weight"].tolist() == [pytest.approx([0.85, 1.15])]
    assert network.weight.tolist() == [pytest.approx([0.85, 2.3])]


def test_espn_survives_a_step_that_raises():
    network, optimizer = single([2.0, -1.0, 1.0, 4.0], lr=0.1)
    method = ESPN(network, optimizer, density=0.5, steps=10, begin=0.1, end=0.9)
    step(network, optimizer)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    handle = optimizer.register_step_pre_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        step(network, optimizer)
    handle.remove()
    method.detach()
    assert network.weight.tolist() == [[2.0, -1.0, 1.0, 4.0]]
    assert not torch.equal(network.weight, method.state["soft"]["weight"])


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (DropPruning, {"p_out": 0.0}, r"p_out must be in \(0, 1\], found 0.0"),
        (DropPruning, {"p_in": 1.0}, r"p_in must be in \[0, 1\), found 1.0"),
        (ADMM, {"rho": 0.0}, "rho must be above 0, found 0.0"),
        (ADMM, {"period": 0.0}, r"period must be in \(0, 1\], found 0.0"),
        (ESPN, {"pressure": -1.0}, "pressure must be above 0, found -1.0"),
        (ESPN, {"criterion": "magnitude"}, "ESPN has its own criterion, found 'magnitude': leave it out"),
        (ESPN, {"schedule": "cubic"}, "ESPN has its own schedule, found 'cubic': leave it out"),
        (ADMM, {"schedule": "linear"}, "ADMM has its own schedule, found 'linear': leave it out"),
        (ADMM, {"steps": 0}, "steps must be an integer, 1 or more; found 0"),
        (Movement, {"criterion": "taylor"}, "Movement has its own criterion, found"),
        (DropPruning, {"allocation": "lamp"}, "DropPruning has its own allocation, found 'lamp'"),
    ],
)
def test_wrong_options_are_refused(method, options, message):
    network, optimizer = single([1.0, 2.0])
    with pytest.raises(InputError, match=message):
        method(network, optimizer, **{"density": 0.5, "steps": 10, **options})
