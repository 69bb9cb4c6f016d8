"""UPR: gates on synapses and neurons, computed by hand and by autograd."""

import math

import pytest
import torch
from torch import nn
from torch.optim import SGD

from snnprune import InputError
from snnprune.methods import UPR
from tests.methods.small import kept, single, step


def two_layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 2, bias=False))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_gates_and_weights_move_together_by_hand():
    network, optimizer = single([1.0, -2.0], lr=0.1)
    method = UPR(network, optimizer, steps=10, price=0.0)
    weights = step(network, optimizer, [1.0, 1.0])
    # Half open at first: the weights behind the gates are (2, -4), with half of the gradient.
    assert method.state["weight"]["weight"].tolist() == [pytest.approx([1.95, -4.05])]
    # g w is (2, -4): Adam's first step takes the gates 0.1 down, and 0.1 up.
    assert method.state["gate"]["weight"].tolist() == [pytest.approx([-0.1, 0.1])]
    steepness = 5 * 200 ** (1 / 8)
    assert method.steepness_at(1) == pytest.approx(steepness)
    assert weights.tolist() == pytest.approx([1.95 * sigmoid(-0.1 * steepness), -4.05 * sigmoid(0.1 * steepness)])


def test_the_price_outweighs_a_small_gain():
    network, optimizer = single([1.0, -2.0], lr=0.1)
    method = UPR(network, optimizer, steps=10, price=3.0)
    step(network, optimizer, [1.0, 1.0])
    assert method.state["gate"]["weight"].tolist() == [pytest.approx([-0.1, 0.1])]  # 2 + 3 > 0 > -4 + 3
    step(network, optimizer, 0.0)
    assert (method.state["gate"]["weight"] < torch.tensor([[-0.1, 0.1]])).all()


@pytest.mark.parametrize(("size", "most"), [(4, 16), (32, 1024)])
def test_the_dearest_weight_costs_the_same_in_every_network(size, most):
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 1, size))
    batches = [torch.zeros(1, 1, size, size)]
    method = UPR(network, SGD(network.parameters(), lr=0.1), steps=10, batches=batches)
    assert method.price * most == pytest.approx(1e-8)  # the paper's 1e-11, where 32x32 positions share a weight
    plain = two_layers()
    assert UPR(plain, SGD(plain.parameters(), lr=0.1), steps=10).price == 1e-8


def test_the_network_begins_as_it_was_and_its_gradients_are_those_of_autograd():
    network, price, beta = two_layers(), 0.01, 5.0
    inputs, target = torch.rand(5, 3), torch.rand(5, 2)
    parts = {
        name: [p.detach().clone() * (4 if name == "2.weight" else 2), torch.zeros_like(p), torch.zeros(1, p.shape[1])]
        for name, p in network.named_parameters()
    }
    leaves = {name: [tensor.requires_grad_() for tensor in tensors] for name, tensors in parts.items()}
    acting = {
        name: w * torch.sigmoid(beta * a) * (torch.sigmoid(beta * b) if name == "2.weight" else 1)
        for name, (w, a, b) in leaves.items()
    }
    cost = sum((price * torch.sigmoid(beta * a)).sum() for _, a, _ in leaves.values())
    cost = cost + (price * 2 * torch.sigmoid(beta * leaves["2.weight"][2])).sum()  # each neuron has two synapses
    (nn.functional.mse_loss(torch.func.functional_call(network, acting, (inputs,)), target) + cost).backward()

    optimizer = SGD(network.parameters(), lr=1.0)
    method = UPR(network, optimizer, steps=100, price=price)
    nn.functional.mse_loss(network(inputs), target).backward()
    optimizer.step()
    for name, (weight, gate, neuron) in leaves.items():
        torch.testing.assert_close(method.state["weight"][name], weight.detach() - weight.grad)
        torch.testing.assert_close(method.state["gate_mean"][name], 0.1 * gate.grad)
        if name == "2.weight":
            torch.testing.assert_close(method.state["neuron_mean"][name], 0.1 * neuron.grad)
    assert "0.weight" not in method.state["neuron"]  # its inputs are no neurons


def test_open_gates_stay_at_the_end_of_the_search():
    network, optimizer = single([1.0, -2.0, 3.0], lr=0.1)
    method = UPR(network, optimizer, steps=4, price=0.0, settle=0.5)
    step(network, optimizer, [1.0, 1.0, -1.0])
    weights = step(network, optimizer, [1.0, 1.0, -1.0])
    assert kept(method) == [1, 2]
    assert weights[0] == 0
    assert weights[1] < -4  # without gates, the weights behind them are used
    assert set(method.state) == {"mask"}


def test_gates_are_shifted_until_as_many_are_open_as_the_schedule_asks_for():
    network, optimizer = single([1.0] * 8, lr=0.1)
    method = UPR(network, optimizer, steps=10, price=1.0, density=0.25)
    open_at = []
    for _ in range(7):
        step(network, optimizer, [-5.0, -4.0, -3.0, -2.0, 1.0, 2.0, 3.0, 4.0])
        gates = method.state["gate"]["weight"][0]
        open_at.append((gates > 0).sum().item())
        assert gates[:4].min() > gates[4:].max()  # the gradient increases the first four
    # 2 + 6 (1 - t/5)^3 of 8, on a ramp of 65 % of 8 steps, then constant; at first four are shut
    assert open_at == [4] + [round(2 + 6 * (1 - min(t / 5, 1)) ** 3) for t in range(2, 8)]
    step(network, optimizer, 0.0)
    assert len(kept(method)) == 2
    assert set(kept(method)) <= {0, 1, 2, 3}


def test_where_nothing_is_to_go_nothing_is_shifted():
    network, optimizer = single([1.0] * 4, lr=0.1)
    method = UPR(network, optimizer, steps=10, price=0.0, density=1.0)
    step(network, optimizer, -1.0)
    assert method.state["gate"]["weight"].tolist() == [pytest.approx([0.1] * 4)]
    assert method.finalize().density == 1


def test_a_layer_that_rests_keeps_its_weights():
    network = two_layers()
    network[0].weight.requires_grad_(False)
    before = network[0].weight.clone()
    method = UPR(network, SGD(network.parameters(), lr=0.1), steps=10, density=0.5)
    for _ in range(10):
        network(torch.rand(2, 3)).sum().backward()
        method.optimizer.step()
    mask = method.finalize()["0.weight"]
    torch.testing.assert_close(network[0].weight, before * mask, rtol=0, atol=0)


def test_a_neuron_whose_gate_is_shut_takes_its_synapses_with_it():
    network = two_layers()
    optimizer = SGD(network.parameters(), lr=0.0)
    method = UPR(network, optimizer, steps=10, settle=0.2)
    for gates_open in (False, True):
        network(torch.rand(2, 3)).sum().backward()
        optimizer.step()
        if not gates_open:
            for gate in method.state["gate"].values():
                gate.fill_(1.0)
            method.state["neuron"]["2.weight"].copy_(torch.tensor([[1.0, -1.0, 1.0, 1.0]]))
    assert method.connectivity()["2.weight"].tolist() == [[True, False, True, True]] * 2
    assert method.connectivity()["0.weight"].all()


def test_a_resumed_search_has_its_neurons_again():
    network = two_layers()
    method = UPR(network, SGD(network.parameters(), lr=0.1), steps=10)
    network(torch.rand(2, 3)).sum().backward()
    method.optimizer.step()
    other = two_layers()
    again = UPR(other, SGD(other.parameters(), lr=0.1), steps=10)
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.state["neuron"]["2.weight"], method.state["neuron"]["2.weight"])
    assert again.steps_done == 1


def test_a_search_that_is_stopped_ends_with_its_density(caplog):
    network, optimizer = single([1.0, -2.0, 3.0, 4.0])
    method = UPR(network, optimizer, steps=100, density=0.5)
    step(network, optimizer)
    assert method.finalize().nonzero == 2
    assert "finalize() after 1 of 100 steps: pruning to density 0.5 at once" in caplog.text


def test_the_price_of_a_convolution_counts_its_connections():
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, bias=False), nn.Conv2d(2, 1, 1, groups=1, bias=False))
    method = UPR(network, SGD(network.parameters(), lr=0.1), steps=10, price=1.0, batches=[torch.zeros(3, 1, 4, 4)])
    (uses,) = method.costs["0.weight"]
    assert (uses / method.price).tolist() == [[[[9.0, 12.0, 9.0], [12.0, 16.0, 12.0], [9.0, 12.0, 9.0]]]]
    assert method.gated == {"1.weight": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"price": -1.0}, "price must be 0 or more, found -1.0"),
        ({"price": math.inf}, "price must be 0 or more, found inf"),
        ({"density": 2.0}, r"density must be in \(0, 1\], found 2.0"),
        ({"settle": 0.0}, r"settle must be in \(0, 1\], found 0.0"),
        ({"steps": -3}, "steps must be an integer, 1 or more; found -3"),
    ],
)
def test_values_outside_their_range_are_refused(options, message):
    network, optimizer = single([1.0, 2.0])
    with pytest.raises(InputError, match=message):
        UPR(network, optimizer, **{"steps": 10, **options})


def test_the_inputs_of_the_network_have_no_gates_whatever_is_excluded():
    network = two_layers()
    whole = UPR(network, SGD(network.parameters(), lr=0.1), steps=10)
    assert list(whole.gated) == ["2.weight"]
    whole.detach()
    assert list(UPR(network, SGD(network.parameters(), lr=0.1), steps=10, exclude="0").gated) == ["2.weight"]


def test_a_failed_update_of_the_gates_leaves_no_products_in_the_weights(monkeypatch):
    network, optimizer = single([1.0, -2.0], lr=0.1)
    method = UPR(network, optimizer, steps=10)
    before = step(network, optimizer, [1.0, 1.0]).clone()

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(method, "_update_gates", fail)
    with pytest.raises(MemoryError):
        step(network, optimizer, [1.0, 1.0])
    assert torch.equal(network.weight.detach().reshape(-1), before)


def test_gates_of_weights_with_few_digits_have_more():
    network = two_layers().to(torch.bfloat16)
    method = UPR(network, SGD(network.parameters(), lr=1e-3), steps=100)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    method.optimizer.step()
    gates = {key: tensor for key, tensor in method.state_dict().items() if "gate" in key or "neuron" in key}
    assert {tensor.dtype for tensor in gates.values()} == {torch.float32}
    assert method.state["gate"]["0.weight"].abs().max().item() == pytest.approx(1e-3)  # bfloat16 has no such number
    assert all(parameter.dtype == torch.bfloat16 for parameter in network.parameters())


def test_a_convolution_without_batches_is_refused():
    network = nn.Sequential(nn.Conv2d(1, 2, 3))
    optimizer = SGD(network.parameters(), lr=0.1)
    message = r"the connections of 0\.weight are not known: pass batches=\[inputs, \.\.\.\]"
    with pytest.raises(InputError, match=message):
        UPR(network, optimizer, steps=10)
    assert not optimizer._optimizer_step_pre_hooks


def test_a_batch_that_does_not_fit_is_refused():
    network = nn.Sequential(nn.Conv2d(1, 2, 3))
    with pytest.raises(InputError, match=r"Sequential does not take inputs \[\d, 3, 4, 4\]"):
        UPR(network, SGD(network.parameters(), lr=0.1), steps=10, batches=[torch.zeros(1, 3, 4, 4)])
