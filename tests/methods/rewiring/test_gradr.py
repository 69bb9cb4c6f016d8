"""Grad R against slow, independent versions of its formulas."""

import inspect
import logging
import math
import sys

import pytest
import torch
from torch import nn
from torch.optim import ASGD, SGD, Adam, AdamW

from snnprune import GradR, InputError
from snnprune.methods import Phase
from snnprune.methods.rewiring.hidden_strength import SEEDLING
from tests.methods.small import single
from tests.methods.small import step as small_step

STEPS = 50


def published_adam(weights, gradients, *, lr, alpha, sparsity, weight_decay=0.0):
    """One synapse after another, in Python floats: the update of the published code (methods of IJCAI 2021)."""
    beta1, beta2, eps = 0.9, 0.999, 1e-8
    mu = math.log(2 * (1 - sparsity)) / alpha
    w = list(weights)
    sign = [math.copysign(1, x) if x else 0.0 for x in w]
    strength = [abs(x) for x in w]
    m, v = [0.0] * len(w), [0.0] * len(w)
    for t, gradient in enumerate(gradients, start=1):
        for i in range(len(w)):
            g = gradient(t, i, w[i]) + weight_decay * w[i]
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g * g
            step = lr / (1 - beta1**t)
            h = sign[i] * strength[i]
            h -= step * m[i] / (math.sqrt(v[i]) / math.sqrt(1 - beta2**t) + eps)
            direction = (strength[i] > mu) - (strength[i] < mu)
            h -= alpha * step * direction * sign[i]
            strength[i] = h * sign[i]
            w[i] = max(strength[i], 0.0) * sign[i]
    return w, strength


def published_sgd(weights, gradients, *, lr, alpha, sparsity, momentum=0.0, weight_decay=0.0):
    """theta <- theta - lr s g - lr alpha sign(theta - mu); w = s relu(theta); the buffer is torch's momentum."""
    mu = math.log(2 * (1 - sparsity)) / alpha
    w, buffer = list(weights), [0.0] * len(weights)
    sign, theta = [math.copysign(1, x) for x in w], [abs(x) for x in w]
    for t, gradient in enumerate(gradients, start=1):
        for i in range(len(w)):
            g = gradient(t, i, w[i]) + weight_decay * w[i]
            buffer[i] = momentum * buffer[i] + g
            direction = (theta[i] > mu) - (theta[i] < mu)
            theta[i] += -lr * sign[i] * buffer[i] - lr * alpha * direction
            w[i] = sign[i] * max(theta[i], 0.0)
    return w, theta


def gradient(t: int, i: int, w: float) -> float:
    """Some gradient that depends on step, synapse and weight, so that synapses are pruned and regrow."""
    return math.sin(0.37 * t + 1.3 * i) * (1 + 0.1 * i) + 0.5 * w


def run(optimizer_kind, weights, *, steps=STEPS, **options) -> tuple[torch.Tensor, GradR]:
    layer = nn.Linear(len(weights), 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([weights], dtype=torch.float64))
    optimizer = optimizer_kind(layer.parameters())
    method = GradR(layer, optimizer, **options)
    for t in range(1, steps + 1):
        layer.weight.grad = torch.tensor(
            [[gradient(t, i, w) for i, w in enumerate(layer.weight[0].tolist())]], dtype=torch.float64
        )
        optimizer.step()
    return layer.weight.detach()[0], method


WEIGHTS = [0.03, -0.02, 0.5, -0.6, 0.001, -0.001, 0.2, -0.3]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(("alpha", "sparsity"), [(1e-3, 0.95), (0.3, 0.8), (0.5, 0.5), (2.0, 0.99)])
def test_with_adam_it_is_the_published_rule(alpha, sparsity, weight_decay, fused):
    expected, strength = published_adam(
        WEIGHTS, [gradient] * STEPS, lr=0.02, alpha=alpha, sparsity=sparsity, weight_decay=weight_decay
    )
    weight, method = run(
        lambda p: Adam(p, lr=0.02, weight_decay=weight_decay, fused=fused), WEIGHTS, alpha=alpha, sparsity=sparsity
    )
    tolerance = {"rel": 1e-6, "abs": 1e-7} if fused else {"rel": 1e-9, "abs": 1e-12}  # fused: partly in float32
    assert weight.tolist() == pytest.approx(expected, **tolerance)
    hidden = (method.state["hidden"]["weight"] * method.state["sign"]["weight"])[0]
    assert hidden.tolist() == pytest.approx(strength, **tolerance)
    assert method.connectivity()["weight"][0].tolist() == [s > 0 for s in strength]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_with_sgd_it_is_the_papers_rule(momentum, weight_decay):
    options = {"lr": 0.01, "alpha": 0.4, "sparsity": 0.8}
    expected, _ = published_sgd(WEIGHTS, [gradient] * STEPS, momentum=momentum, weight_decay=weight_decay, **options)
    weight, _ = run(
        lambda p: SGD(p, lr=0.01, momentum=momentum, weight_decay=weight_decay), WEIGHTS, alpha=0.4, sparsity=0.8
    )
    assert weight.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


ALL = [
    kind
    for kind in (getattr(torch.optim, name) for name in torch.optim.__all__)
    if isinstance(kind, type) and "weight_decay" in inspect.signature(kind).parameters
]


@pytest.mark.parametrize("kind", ALL)
def test_no_optimizers_weight_decay_moves_a_dormant_strength(kind):
    network, _ = single([0.5, 0.5])
    optimizer = kind(network.parameters(), lr=0.01, weight_decay=0.5, **({"lambd": 0.0} if kind is ASGD else {}))
    method = GradR(network, optimizer, alpha=1e-9)
    optimizer.step()  # without gradients strengths are initialised and nothing else happens
    method.state["hidden"]["weight"][0, 1] = -0.3
    network.weight.data[0, 1] = 0
    before = network.weight[0, 0].item()
    small_step(network, optimizer)
    assert method.state["hidden"]["weight"][0, 1].item() == pytest.approx(-0.3, rel=1e-5)
    assert network.weight[0, 0].item() < before


def test_decoupled_weight_decay_leaves_dormant_strengths_alone():
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5, 0.5]]))
    optimizer = AdamW(layer.parameters(), lr=0.1, weight_decay=0.5)
    method = GradR(layer, optimizer, alpha=1e-6)
    layer.weight.grad = torch.zeros(1, 2)
    optimizer.step()
    method.state["hidden"]["weight"][0, 1] = -0.3
    layer.weight.data[0, 1] = 0
    layer.weight.grad = torch.zeros(1, 2)
    optimizer.step()
    assert method.state["hidden"]["weight"][0].tolist() == pytest.approx([0.5 * 0.95**2, -0.3], abs=1e-5)


def test_a_synapse_dies_and_grows_back_with_its_old_sign():
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(-0.015)
    optimizer = SGD(layer.parameters(), lr=0.01)
    GradR(layer, optimizer, alpha=1e-3)
    seen = []
    for push in (-1.0, -1.0, -1.0, 1.0, 1.0, 1.0):
        layer.weight.grad = torch.tensor([[push]])
        optimizer.step()
        seen.append(layer.weight.item())
    assert seen[0] == pytest.approx(-0.005, abs=1e-4)
    assert seen[1:4] == [0, 0, 0]
    assert seen[5] == pytest.approx(-0.015, abs=1e-3)


def test_the_published_target_is_inert_where_mu_is_out_of_reach():
    kept = [
        run(lambda p: Adam(p, lr=1e-3), WEIGHTS, alpha=1e-2, sparsity=s)[1].connectivity() for s in (0.8, 0.95, 0.99)
    ]
    assert kept[0] == kept[1] == kept[2]


def test_a_weight_that_starts_at_zero_gets_a_sign_and_can_grow(caplog):
    with caplog.at_level(logging.WARNING):
        weight, method = run(lambda p: Adam(p, lr=0.1), [0.0] * 64, alpha=1e-3)
    assert "drew random signs for 64 synapse(s)" in caplog.text
    assert (weight != 0).any()
    assert set(method.state["sign"]["weight"].flatten().tolist()) == {-1.0, 1.0}


def test_the_published_behaviour_for_zeros_is_an_option(caplog):
    weight, _ = run(lambda p: Adam(p, lr=0.1), [0.0, 0.1], alpha=1e-3, draw_zero_signs=False)
    assert weight[0] == 0
    assert caplog.text == ""


def test_a_step_that_was_interrupted_does_not_leave_strengths_in_the_weights(monkeypatch):
    layer = nn.Linear(3, 1, bias=False)
    optimizer = SGD(layer.parameters(), lr=0.1)
    method = GradR(layer, optimizer, alpha=0.1)
    layer.weight.grad = torch.full((1, 3), 20.0) * layer.weight.sign()
    optimizer.step()
    assert not layer.weight.any()

    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[SGD.__module__], "sgd", interrupted)
        with pytest.raises(KeyboardInterrupt):
            optimizer.step()
    assert layer.weight.any()  # the weights are not all 0
    optimizer.step()
    assert not layer.weight.any()
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[SGD.__module__], "sgd", interrupted)
        with pytest.raises(KeyboardInterrupt):
            optimizer.step()
    assert not method.finalize().nonzero
    assert not layer.weight.any()


def test_strengths_come_from_the_weights_at_the_first_step():
    layer = nn.Linear(2, 1, bias=False)
    optimizer = SGD(layer.parameters(), lr=0.1)
    GradR(layer, optimizer, alpha=1e-3)
    layer.load_state_dict({"weight": torch.tensor([[1.0, -2.0]])})
    layer.weight.grad = torch.zeros(1, 2)
    optimizer.step()
    assert layer.weight[0].tolist() == pytest.approx([1.0, -2.0], abs=1e-3)


def closed_loop(steps: int = 40, density: float = 0.25, **options) -> tuple[nn.Linear, torch.optim.Optimizer, GradR]:
    layer = nn.Linear(10, 4, bias=False)
    optimizer = Adam(layer.parameters(), lr=1e-3)
    return layer, optimizer, GradR(layer, optimizer, density=density, steps=steps, **options)


def push(layer: nn.Linear, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for t in range(steps):
        layer.weight.grad = torch.sin(torch.arange(40.0).reshape(4, 10) + t)
        optimizer.step()


def test_the_closed_loop_follows_its_schedule_and_freezes():
    layer, optimizer, method = closed_loop()
    seen = []
    for _ in range(40):
        push(layer, optimizer, 1)
        seen.append(method.connectivity().nonzero)
    assert all(count <= math.ceil(40 * method.schedule.density_at(step + 1)) for step, count in enumerate(seen))
    assert seen[25:] == [10] * 15  # settled after 65 % of 40 steps
    assert len(set(seen[:25])) > 5
    assert method.phase is Phase.FIXED
    assert (method.schedule.density_at(0), method.schedule.density_at(26), method.schedule.density_at(99)) == (
        1.0,
        0.25,
        0.25,
    )


def test_settling_later_leaves_less_time_frozen():
    layer, optimizer, method = closed_loop(settle=1.0)
    push(layer, optimizer, 39)
    assert method.phase is not Phase.FIXED
    push(layer, optimizer, 1)
    assert method.phase is Phase.FIXED
    assert method.connectivity().nonzero == 10


def test_the_weakest_become_dormant_by_exact_rank():
    layer, optimizer, method = closed_loop(steps=2)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(1.0, 41.0).reshape(4, 10) * torch.tensor([1.0, -1.0]).repeat(5))
    layer.weight.grad = torch.zeros(4, 10)
    optimizer.step()
    assert method.connectivity()["weight"].flatten().tolist() == [False] * 30 + [True] * 10
    assert layer.weight[3, 9].item() == pytest.approx(-40, abs=1e-3)


def test_a_synapse_of_weight_zero_that_is_kept_at_the_end_gets_a_seed():
    layer, optimizer, method = closed_loop(steps=2, density=0.5)
    with torch.no_grad():
        layer.weight.fill_(0)
    layer.weight.grad = torch.zeros(4, 10)
    optimizer.step()
    assert method.connectivity().nonzero == layer.weight.count_nonzero() == 20
    assert layer.weight.max() == torch.tensor(SEEDLING)


def test_dormant_strengths_accumulate_and_regrow_from_weight_zero_with_either_sign():
    layer = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 2.0, 0.5, 0.4]]))
    optimizer = SGD(layer.parameters(), lr=1.0)
    method = GradR(layer, optimizer, density=0.5, steps=500, settle=0.9, power=0.0)  # a selection every 9 steps, to 450
    alive = []
    for step in range(1, 451):
        # the fourth falls below 0 while only two exist, with a larger strength than the second
        layer.weight.grad = torch.tensor([[0.0, 0.0, 0.0, 1.0 if step > 432 else 0.0]])
        optimizer.step()
        alive.append(method.connectivity()["weight"][0].tolist())
        if 432 < step < 442:
            assert layer.weight[0].tolist() == [3.0, 2.0 * (step < 441), 0.0, 0.0]
    assert alive[431:440] == [[True, True, False, False]] * 9
    assert alive[440:] == [[True, False, False, True]] * 10
    assert layer.weight[0].tolist() == [3.0, 0.0, 0.0, -9.0]


def test_signs_are_free_once_frozen():
    layer, optimizer, method = closed_loop(steps=2)
    push(layer, optimizer, 1)
    before = layer.weight.sign()
    for _ in range(800):
        layer.weight.grad = before.clone()
        optimizer.step()
    kept = method.connectivity()["weight"]
    assert (layer.weight.sign()[kept] == -before[kept]).all()


def test_per_layer_scope_gives_every_layer_its_density():
    network = nn.Sequential(nn.Linear(10, 4, bias=False), nn.Linear(4, 5, bias=False))
    network[1].weight.data.mul_(1e-3)
    optimizer = Adam(network.parameters())
    method = GradR(network, optimizer, density=0.5, steps=2, scope="layer")
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert [row["nonzero"] for row in method.connectivity().layers().values()] == [20, 10]


def test_an_allocation_decides_how_many_each_neuron_keeps():
    layer, optimizer, method = closed_loop(steps=2, allocation="fan-in=1")
    push(layer, optimizer, 1)
    assert method.connectivity()["weight"].sum(1).tolist() == [1, 1, 1, 1]


def test_finalize_before_the_loop_settled_prunes_at_once_and_says_so(caplog):
    layer, optimizer, method = closed_loop(steps=1000)
    push(layer, optimizer, 3)
    with caplog.at_level(logging.WARNING):
        connectivity = method.finalize()
    assert "finalize() after 3 of 1000 steps" in caplog.text
    assert connectivity.nonzero == 10
    assert (layer.weight != 0).sum() == 10


def test_a_layer_that_was_emptied_is_named(caplog):
    network = nn.Sequential(nn.Linear(10, 4, bias=False), nn.Linear(4, 5, bias=False))
    network[1].weight.data.mul_(1e-6)
    method = GradR(network, Adam(network.parameters()), density=0.5, steps=10)
    with caplog.at_level(logging.WARNING):
        assert method.finalize()["1.weight"].sum() == 0
    assert "no synapse is left in 1.weight: this layer passes on no spikes" in caplog.text


def test_finalize_before_the_first_step():
    layer, _, method = closed_loop()
    assert method.finalize().nonzero == (layer.weight != 0).sum() == 10


def test_steps_kept_on_a_device_give_the_same_result():
    # As in a capturable optimizer on a GPU: lr and the step count are tensors that must not be read back.
    results = []
    for tensors in (False, True):
        layer = nn.Linear(3, 2, bias=False, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.arange(6.0).reshape(2, 3) - 2.5)
        optimizer = Adam(layer.parameters(), lr=0.1)
        GradR(layer, optimizer, alpha=0.3)
        with pytest.MonkeyPatch.context() as patch:
            if tensors:
                patch.setattr("snnprune.methods.optimizer_state._plain", torch.as_tensor)
            for t in range(20):
                layer.weight.grad = torch.cos(torch.arange(6.0, dtype=torch.float64).reshape(2, 3) + t)
                optimizer.step()
        results.append(layer.weight.detach())
    # the optimizer counts its steps in float32
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0}, "alpha must be a positive number, found 0"),
        ({"alpha": -1e-3}, "alpha must be a positive number"),
        ({"alpha": math.inf}, "alpha must be a positive number"),
        ({"sparsity": 0.4}, r"sparsity must be in \[0.5, 1\)"),
        ({"sparsity": 1.0}, r"sparsity must be in \[0.5, 1\)"),
        ({"density": 0.0, "steps": 5}, r"density must be in \(0, 1\], found 0.0"),
        ({"density": 1.5, "steps": 5}, r"density must be in \(0, 1\], found 1.5"),
        ({"density": 0.1}, "density needs steps"),
        ({"density": 0.1, "steps": 0}, "steps must be an integer, 1 or more; found 0"),
        ({"density": 0.1, "steps": 5, "alpha": 0.1}, r"give either density or alpha \(with sparsity\), found both"),
        ({"density": 0.1, "steps": 5, "sparsity": 0.9}, "each sets the sparsity"),
        ({"density": 0.1, "steps": 5, "settle": 0.0}, r"settle must be in \(0, 1\], found 0.0"),
        ({"density": 0.1, "steps": 5, "settle": 1.1}, r"settle must be in \(0, 1\]"),
        ({"allocation": "lamp"}, "allocation needs a density and replaces scope"),
        ({"density": 0.1, "steps": 5, "scope": "layer", "allocation": "lamp"}, "replaces scope"),
        ({"density": 0.1, "steps": 5, "power": -1}, "power must be 0 or more, found -1"),
        ({"scope": "neuron"}, "scope must be 'global' or 'layer', found 'neuron'"),
    ],
)
def test_bad_options_are_refused(options, message):
    layer = nn.Linear(2, 2)
    with pytest.raises(InputError, match=message):
        GradR(layer, Adam(layer.parameters()), **options)
