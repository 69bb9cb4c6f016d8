from collections.abc import Mapping

import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD, Adam

from snnprune import Connectivity, Dense, GradR, InputError, Method, methods
from snnprune.methods.masked import existing_first
from snnprune.methods.registry import _options_of


def pair() -> tuple[nn.Sequential, Adam]:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    return network, Adam(network.parameters())


def test_the_known_methods_are_listed():
    assert {"dense", "gradr"} <= set(methods.names())
    assert methods.find("gradr") is GradR


def test_a_third_party_registers_a_method_and_uses_it_by_name(monkeypatch):
    monkeypatch.setattr(methods.METHODS, "_entries", dict(methods.METHODS))

    @methods.register("frozen-first-row")
    class Mine(Dense):
        pass

    network, optimizer = pair()
    assert isinstance(methods.create("frozen-first-row", network, optimizer, steps=3), Mine)
    with pytest.raises(InputError, match=r"'gradr' is taken by snnprune\.methods\.rewiring\.gradr\.GradR"):
        methods.register("gradr")(Mine)


def test_a_class_is_found_by_its_import_path():
    assert methods.find("snnprune.methods.controls:Dense") is Dense
    with pytest.raises(InputError, match="cannot be imported"):
        methods.find("no_such_package:Method")
    with pytest.raises(InputError, match="cannot be imported"):
        methods.find("snnprune:Nothing")
    with pytest.raises(InputError, match=r"must be a subclass of snnprune\.Method"):
        methods.find("torch.nn:Linear")


def test_unknown_names_and_options_list_the_known_ones():
    network, optimizer = pair()
    with pytest.raises(InputError, match=r"unknown method 'grad-r': known are .*dense, .*gradr"):
        methods.create("grad-r", network, optimizer, steps=1)
    with pytest.raises(InputError, match="gradr does not take beta: it takes alpha, sparsity, density"):
        methods.create("gradr", network, optimizer, steps=1, beta=3)
    with pytest.raises(InputError, match="dense does not take density: it takes exclude"):
        methods.create("dense", network, optimizer, steps=1, density=0.5, alpha=None)


IMP = {"begin": 0.0, "rate": 0.25, "rewind": 0.2, "early_bird": False, "early_time": False}
HIDDEN = {"settle": 0.65, "scope": "global", "draw_zero_signs": True}
MOVING = {"fraction": 0.3, "end": 0.75}
# Pruning begins at once where nothing else is said.
DEFAULTS: dict[str, Mapping[str, object]] = {
    "admm": {"begin": 0.2, "rho": 1e-4, "period": 0.02},
    "deepr": {"alpha": 0.1, "temperature": 0.0, "settle": 0.8, "scope": "layer", "allocation": "uniform"},
    "dense": {},
    "drop": {"begin": 0.0, "p_out": 0.5, "p_in": 0.02},
    "esl": MOVING,
    "espn": {"begin": 0.3, "pressure": 1e-6},
    "fixed": {"shuffle": False},
    "gradr": {**HIDDEN, "power": 0.5},
    "imp": IMP,
    "ndsnn": MOVING,
    "rigl": MOVING,
    "set": MOVING,
    "softdeepr": {**HIDDEN, "temperature": 1e-6},
    "squisher": {"begin": 0.0, "power": 0.5},
    "stds": {"growth": "sine", "settle": 0.65},
    "upr": {"settle": 0.8},
    "uticket": IMP,
}


@pytest.mark.parametrize("name", methods.names())
def test_the_defaults_of_every_method(name):
    options = _options_of(methods.find(name)).items()
    found = {option: taken.default for option, taken in options if isinstance(taken.default, int | float | str)}
    assert found.pop("seed", 0) == 0
    assert found == DEFAULTS.get(name, {"begin": 0.0})


def test_closures_are_refused_with_a_reason():
    network, optimizer = pair()
    GradR(network, optimizer)
    with pytest.raises(InputError, match=r"optimizer\.step\(closure\) cannot be used with a method"):
        optimizer.step(lambda: 0.0)
    with pytest.raises(InputError, match=r"optimizer\.step\(closure\) cannot be used with a method"):
        optimizer.step(closure=lambda: 0.0)
    with pytest.raises(InputError, match="LBFGS cannot be used with a method"):
        GradR(network, LBFGS(network.parameters()))


def test_an_optimizer_without_the_synapses_is_refused():
    network, _ = pair()
    with pytest.raises(InputError, match=r"does not hold the network's synapses 1\.weight: give it"):
        GradR(network, SGD(network[0].parameters(), lr=0.1))
    GradR(network, SGD(network[0].parameters(), lr=0.1), exclude=["1"])


def test_two_rewirings_cannot_hold_the_same_synapses():
    network, optimizer = pair()
    first = GradR(network, optimizer)
    with pytest.raises(InputError, match="GradR holds these synapses already"):
        Dense(network, optimizer)
    first.detach()
    Dense(network, optimizer, exclude=["0"])
    GradR(network, optimizer, exclude=["1"])


def test_excluded_synapses_stay_dense():
    network, optimizer = pair()
    method = GradR(network, optimizer, density=0.1, steps=2, exclude=["1"])
    for _ in range(2):
        optimizer.zero_grad()
        network(torch.rand(5, 3)).square().mean().backward()
        optimizer.step()
    assert list(method.connectivity()) == ["0.weight"]
    assert Connectivity.from_network(network)["1.weight"].all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("steps"), "'steps' is missing"),
        (lambda state: state.update(Dense(*pair()).state_dict()), "the state is of Dense, this method is GradR"),
        (lambda state: state.clear(), "found nothing"),
        (
            lambda state: state.update({"hidden/9.weight": torch.ones(1)}),
            r"9\.weight is \(1,\) in the first and absent in the second",
        ),
        (
            lambda state: state.update({"hidden/0.weight": torch.ones(1)}),
            r"0\.weight is \(1,\) in the first and \(4, 3\) in the second",
        ),
        (lambda state: state.pop("sign/1.weight"), r"'sign' and the network do not match: 1\.weight is absent"),
    ],
)
def test_a_state_of_another_network_is_refused_and_nothing_is_loaded(change, message):
    network, optimizer = pair()
    method = GradR(network, optimizer)
    network(torch.rand(5, 3)).sum().backward()
    optimizer.step()
    state = method.state_dict()
    change(state)
    with pytest.raises(InputError, match=message):
        method.load_state_dict(state)
    assert method.steps_done == 1
    assert set(method.state) == {"hidden", "sign"}


def test_of_what_is_drawn_existing_synapses_come_first():
    def chosen(weights: list[float], drawn: list[int], scores: list[float]) -> list[int]:
        names = {"w": torch.tensor(drawn) > 0}
        kept = existing_first(names, {"w": torch.tensor(scores)}, {"w": nn.Parameter(torch.tensor(weights))})["w"]
        return kept.int().tolist()

    # those that exist, whatever was drawn and however large their numbers are
    assert chosen([1.0, -1.0, 0.0, 0.0], [0, 0, 1, 1], [0.0, 0.0, 0.9, 0.9]) == [1, 1, 0, 0]
    # of those the drawn ones, and then those with the largest numbers
    assert chosen([1.0, 1.0, 1.0, 0.0], [0, 1, 0, 1], [0.5, 0.0, 0.9, 0.9]) == [0, 1, 1, 0]
    assert chosen([1.0, 0.0, 0.0, 0.0], [0, 1, 1, 0], [0.0, 0.1, 0.2, 0.9]) == [1, 0, 1, 0]


def test_dense_leaves_training_alone():
    network, optimizer = pair()
    method = Dense(network, optimizer)
    assert method.state_dict().keys() == {"version", "method", "density", "steps", "phase"}
    assert method.connectivity().density == 1
    assert isinstance(method, Method)


def test_an_optimizer_that_maximizes_is_refused():
    network, _ = pair()
    with pytest.raises(InputError, match="maximize=True cannot be used with a method: minimize the negative"):
        GradR(network, SGD(network.parameters(), lr=0.1, maximize=True))


def test_a_scaler_that_leaves_skipping_to_a_fused_optimizer_is_refused():
    for fused in (True, False):
        network, _ = pair()
        optimizer = Adam(network.parameters(), fused=fused)
        method = GradR(network, optimizer)
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        network(torch.full((1, 3), torch.inf)).sum().backward()
        scaler.scale(torch.zeros(()))
        if fused:
            with pytest.raises(InputError, match="make the optimizer with fused=False, or train in bf16"):
                scaler.step(optimizer)
        else:
            scaler.step(optimizer)  # does not call optimizer.step if gradients are not finite
        assert method.steps_done == 0


def test_network_and_optimizer_in_the_wrong_order_are_refused():
    network, optimizer = pair()
    with pytest.raises(InputError, match="network must be a torch module, found Adam"):
        GradR(optimizer, network)
    with pytest.raises(InputError, match="optimizer must be a torch optimizer, found Sequential"):
        GradR(network, network)
    with pytest.raises(InputError, match="exclude takes names and module types, found an object of type Linear"):
        GradR(network, optimizer, exclude=[network[0]])


def take(network: nn.Module, optimizer: Adam, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        network(torch.ones(1, 3)).sum().backward()
        optimizer.step()


def test_a_state_of_a_training_to_another_density_is_refused():
    network, optimizer = pair()
    method = GradR(network, optimizer, density=0.5, steps=9)
    take(network, optimizer, 1)
    state = method.state_dict()
    method.detach()
    for options, message in (
        ({"density": 0.2, "steps": 9}, "density 0.5, this one is to density 0.2"),
        ({}, "density 0.5, this one is to no density"),
    ):
        other = GradR(network, optimizer, **options)
        with pytest.raises(InputError, match=message):
            other.load_state_dict(state)
        other.detach()


@pytest.mark.parametrize(("name", "steps"), [("set", 1), ("gmp", 1), ("imp", 1), ("gradr", 4), ("stds", 4), ("upr", 4)])
def test_a_state_must_have_masks_from_when_on_the_method_has_them(name, steps):
    network, optimizer = pair()
    method = methods.create(name, network, optimizer, steps=4, density=0.5)
    method.load_state_dict(method.state_dict())  # before the first step it has none
    for _ in range(steps):
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    state = method.state_dict()
    method.load_state_dict(state)
    with pytest.raises(InputError, match=rf"the state of {type(method).__name__} \(\w+\) lacks mask"):
        method.load_state_dict({key: value for key, value in state.items() if not key.startswith("mask/")})


def test_a_finalized_method_has_no_state():
    network, optimizer = pair()
    method = GradR(network, optimizer, density=0.5, steps=9)
    method.finalize()
    with pytest.raises(InputError, match=r"finalize\(\) has ended this method, its state is gone"):
        method.state_dict()


def test_a_training_that_continues_past_its_steps_is_reported_once(caplog):
    network, optimizer = pair()
    GradR(network, optimizer, density=0.5, steps=3)
    take(network, optimizer, 3)
    assert not caplog.text
    take(network, optimizer, 3)
    assert caplog.text.count("training continues past the 3 steps given to GradR") == 1


def test_the_repr_of_a_method_names_its_phase():
    network, optimizer = pair()
    method = GradR(network, optimizer, density=0.5, steps=6)
    assert repr(method).startswith("<GradR to density 0.5, waiting after 0 of 6 steps, Connectivity(")
    take(network, optimizer, 2)
    assert "searching after 2 of 6 steps" in repr(method)
    take(network, optimizer, 4)
    assert "fixed after 6 of 6 steps" in repr(method)
    method.finalize()
    assert "ended after 6 of 6 steps" in repr(method)
    other, seen = Dense(network, optimizer), []
    optimizer.register_step_pre_hook(lambda *_: seen.append(repr(other)))
    take(network, optimizer, 1)
    assert seen == ["<Dense fixed after 0 steps>"]  # nothing is counted in the middle of a step
