"""Deep R: single steps computed by hand, the walk through vacant positions, and memory layouts."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import Adam

from snnprune import Connectivity
from snnprune.methods import DeepR, Phase
from snnprune.methods.rewiring.deepr import CONNECTED, vacancies
from tests.methods.small import at, kept, pair, push, single, step


def test_deep_r_lets_a_synapse_die_and_connects_a_dormant_one_with_its_own_sign():
    network, optimizer = single([0.5, -0.4, 0.3, -0.2])
    method = DeepR(network, optimizer, density=0.5, steps=10, alpha=0.125, allocation=at(0, 1))
    # strengths 0.5 - 0.5 - 0.125 and 0.4 - 0.125; dormant strengths do not change
    weights = step(network, optimizer, [0.5, 0.0, 9.0, 9.0]).tolist()
    assert weights[1] == pytest.approx(-0.275)
    (fresh,) = set(kept(method)) - {1}
    assert weights[fresh] == pytest.approx([1e-12, 0, 1e-12, -1e-12][fresh], rel=1e-6)
    assert [weight for index, weight in enumerate(weights) if index not in (1, fresh)] == [0, 0]


def test_deep_r_without_pressure_and_noise_is_plain_training_while_no_sign_changes():
    network, optimizer = single([0.5, -0.4, 0.3, -0.2], lr=0.1)
    method = DeepR(network, optimizer, density=0.5, steps=10, alpha=0.0, allocation=at(1, 2))
    assert step(network, optimizer, [1.0, 1.0, 1.0, 1.0]).tolist() == pytest.approx([0, -0.5, 0.2, 0])
    assert step(network, optimizer, [1.0, 1.0, 1.0, 1.0]).tolist() == pytest.approx([0, -0.6, 0.1, 0])
    assert kept(method) == [1, 2]


def test_deep_r_pressure_is_the_learning_rate_times_alpha():
    network, optimizer = single([0.5, -0.4], lr=0.5)
    DeepR(network, optimizer, density=1.0, steps=10, alpha=0.1)
    assert step(network, optimizer).tolist() == pytest.approx([0.45, -0.35])
    network, _ = single([0.5, -0.4])
    optimizer = Adam(network.parameters(), lr=0.01, betas=(0.9, 0.99))
    DeepR(network, optimizer, density=1.0, steps=10, alpha=0.1)
    # the bias-corrected step of Adam: 0.01 / (1 - 0.9)
    assert step(network, optimizer).tolist() == pytest.approx([0.49, -0.39])


def test_deep_r_noise_has_the_variance_of_the_paper():
    network, optimizer = single([10.0] * 20_000, lr=0.5)
    DeepR(network, optimizer, density=1.0, steps=10, alpha=0.0, temperature=0.04)
    trained = step(network, optimizer) - 10
    assert trained.mean().abs() < 0.005
    assert trained.std() == pytest.approx(math.sqrt(2 * 0.5 * 0.04), rel=0.03)
    again = step(network, optimizer) - 10 - trained
    assert again.dot(trained).abs() / 20_000 < 0.002  # new numbers


@settings(max_examples=40, deadline=None)
@given(
    density=st.sampled_from([0.1, 0.5, 0.9, 1.0]),
    alpha=st.sampled_from([0.0, 0.1]),
    temperature=st.sampled_from([0.0, 1e-2]),
    seed=st.integers(0, 100),
)
def test_deep_r_connects_dormant_synapses_and_never_changes_a_count(density, alpha, temperature, seed):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(10, 8, bias=False), nn.Linear(8, 5, bias=False))
    optimizer = Adam(network.parameters(), lr=0.1)
    options = {"alpha": alpha, "temperature": temperature, "seed": seed, "settle": 0.5}
    method = DeepR(network, optimizer, density=density, steps=16, **options)
    signs = [parameter.detach().sign() for parameter in network.parameters()]
    counts, before = None, None
    for count in range(8):
        push(network, optimizer, count, count + 1)
        now = method.connectivity()
        rows = {name: row["nonzero"] for name, row in now.layers().items()}
        assert rows == (counts or rows)
        assert Connectivity.from_network(network) == now
        for parameter, sign, (name, mask) in zip(network.parameters(), signs, now.items(), strict=True):
            assert torch.equal(parameter.sign()[mask], sign[mask])
            fresh = mask & ~before[name] if before else torch.zeros_like(mask)
            assert (parameter[fresh].abs() == torch.tensor(CONNECTED)).all()
            moments = optimizer.state[parameter]
            assert not moments["exp_avg"][fresh | ~mask].any()
        counts, before = rows, now
    push(network, optimizer, 8, 14)
    assert method.connectivity() == before  # settled


@settings(max_examples=200, deadline=None)
@given(data=st.data(), shape=st.sampled_from([(1, 1), (7,), (4, 5), (3, 2, 2, 3), (11, 11)]), look=st.booleans())
def test_the_vacancies_are_the_first_vacant_positions_of_the_walk(data, shape, look):
    size = math.prod(shape)
    there = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    count = data.draw(st.integers(sum(there), size))
    stride = data.draw(st.integers(1, size).filter(lambda stride: math.gcd(stride, size) == 1))
    start = data.draw(st.integers(0, size - 1))
    mask = torch.tensor(there, dtype=torch.float32).reshape(shape)
    missing = torch.tensor(float(count - sum(there)))
    ((positions, chosen),) = vacancies([mask], missing, count, (start, stride), look=look)
    found = torch.arange(size).reshape(shape)[positions]
    assert found.unique().numel() == found.numel()
    walked = [(start + stride * k) % size for k in range(size)]
    free = [position for position in walked if not there[position]]
    assert sorted(found[chosen].tolist()) == sorted(free[: count - sum(there)])


@settings(max_examples=200, deadline=None)
@given(data=st.data(), look=st.booleans())
def test_a_walk_leads_through_all_tensors_together(data, look):
    shapes = [(3, 4), (5,), (2, 2, 2)]
    there = data.draw(st.lists(st.booleans(), min_size=25, max_size=25))
    count = data.draw(st.integers(sum(there), 25))
    stride, start = data.draw(st.sampled_from([1, 2, 3, 4, 6, 23, 24])), data.draw(st.integers(0, 24))
    flat = torch.tensor(there, dtype=torch.float32).split([math.prod(shape) for shape in shapes])
    masks = [part.reshape(shape) for part, shape in zip(flat, shapes, strict=True)]
    found = vacancies(masks, torch.tensor(float(count - sum(there))), count, (start, stride), look=look)
    filled = []
    for mask, first, (positions, chosen) in zip(masks, (0, 12, 17), found, strict=True):
        indices = torch.arange(mask.numel()).reshape(mask.shape)[positions]
        filled += [first + int(index) for index in indices[chosen]]
    free = [position for position in ((start + stride * k) % 25 for k in range(25)) if not there[position]]
    assert sorted(filled) == sorted(free[: count - sum(there)])


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_step_without_any_gradient_changes_nothing(scope):
    network, optimizer = pair()
    method = DeepR(network, optimizer, density=0.25, steps=40, scope=scope)
    optimizer.step()
    before = method.connectivity()
    optimizer.step()
    assert method.connectivity() == before
    assert before.density == pytest.approx(0.25, abs=0.01)


def test_synapses_wander_from_layer_to_layer():
    network, optimizer = pair()
    method = DeepR(network, optimizer, density=0.25, steps=40, alpha=0.02, scope="global")
    push(network, optimizer, 0, 1)
    first = method.connectivity().layers()
    push(network, optimizer, 1, 20)
    last = method.connectivity().layers()
    assert sum(row["nonzero"] for row in last.values()) == sum(row["nonzero"] for row in first.values())
    assert any(last[name]["nonzero"] != first[name]["nonzero"] for name in last)


@pytest.mark.parametrize("size", [1, 2, 3, 12, 97, 1024])
def test_a_walk_visits_every_position_once(size):
    network, optimizer = single([1.0])
    method = DeepR(network, optimizer, density=1.0, steps=10)
    walks = set()
    for method.steps_done in range(30):
        start, stride = method._walk("weight", size)
        assert math.gcd(stride, size) == 1
        assert 0 <= start < size
        walks.add((start, stride))
    assert len(walks) >= min(size // 2, 20)


def test_deep_r_draws_a_sign_for_a_weight_that_starts_at_zero():
    network, optimizer = single([0.0] * 60 + [0.5, -0.5])
    method = DeepR(network, optimizer, density=1.0, steps=10, alpha=0.0)
    step(network, optimizer)
    signs = method.state["sign"]["weight"].flatten()
    assert set(signs.tolist()) == {-1.0, 1.0}
    assert signs[60:].tolist() == [1.0, -1.0]
    assert (network.weight.flatten()[:60] == CONNECTED * signs[:60]).all()


def test_deep_r_lets_signs_go_once_it_settled():
    network, optimizer = single([0.5, -0.4], lr=0.5)
    method = DeepR(network, optimizer, density=1.0, steps=4, alpha=0.1, settle=0.5)
    step(network, optimizer)
    step(network, optimizer)
    assert method.phase is Phase.FIXED
    assert step(network, optimizer, [2.0, 0.0]).tolist() == pytest.approx([-0.6, -0.3])


@pytest.mark.parametrize("temperature", [0.0, 1e-2])
def test_the_memory_layout_of_weights_and_gradients_makes_no_difference_to_deep_r(temperature):
    def train(weights: torch.memory_format, gradients: torch.memory_format, switch: int | None = None):
        torch.manual_seed(0)
        network, optimizer = pair(memory_format=weights)
        method = DeepR(network, optimizer, density=0.25, steps=40, alpha=0.01, temperature=temperature)
        push(network, optimizer, 0, 10, memory_format=gradients)
        if switch == 10:
            network.to(memory_format=torch.channels_last)
        push(network, optimizer, 10, 20, memory_format=gradients)
        return network, optimizer, method

    plain, _, expected = train(torch.contiguous_format, torch.contiguous_format)
    for weights, gradients, switch in (
        (torch.channels_last, torch.channels_last, None),
        (torch.channels_last, torch.contiguous_format, None),
        (torch.contiguous_format, torch.contiguous_format, 10),
    ):
        network, optimizer, method = train(weights, gradients, switch)
        assert method.connectivity() == expected.connectivity()
        for parameter, other, mask in zip(
            network.parameters(), plain.parameters(), method.connectivity().values(), strict=True
        ):
            torch.testing.assert_close(parameter, other)
            assert not parameter[~mask].any()
            assert not optimizer.state[parameter]["momentum_buffer"][~mask].any()


def test_a_state_of_deep_r_is_resumed_in_another_memory_layout():
    network, optimizer = pair(memory_format=torch.channels_last)
    method = DeepR(network, optimizer, density=0.25, steps=40, alpha=0.01)
    push(network, optimizer, 0, 10)
    again, other = pair()
    again.load_state_dict(network.state_dict())
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    resumed = DeepR(again, other, density=0.25, steps=40, alpha=0.01)
    resumed.load_state_dict(method.state_dict())
    push(network, optimizer, 10, 20)
    push(again, other, 10, 20)
    assert resumed.connectivity() == method.connectivity() == Connectivity.from_network(again)
    torch.testing.assert_close(again.state_dict(), network.state_dict())
