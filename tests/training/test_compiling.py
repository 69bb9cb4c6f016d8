"""Which parts of a network are compiled, and that its results stay the same."""

import copy
import logging

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

import models
from snnprune import methods
from snnprune.compiling import WORTHWHILE_STEPS, WORTHWHILE_STEPS_OF_NEURONS, CompiledOrEager
from snnprune.synapses import reset_neurons
from snnprune.training import forward_of

compilers_warn = pytest.mark.filterwarnings("ignore")  # the compiler's own warnings


def convolutional() -> nn.Sequential:
    """[T, B, 1, 6, 6] -> [T, B, 3]."""
    torch.manual_seed(0)
    network = nn.Sequential(
        layer.Conv2d(1, 2, 3, bias=False, step_mode="m"),
        layer.BatchNorm2d(2, step_mode="m"),
        neuron.LIFNode(step_mode="m"),
        layer.Flatten(step_mode="m"),
        layer.Linear(32, 3, bias=False, step_mode="m"),
        neuron.IFNode(step_mode="m"),
    )
    nn.init.constant_(network[1].weight, 3.0)  # so that neurons spike
    nn.init.uniform_(network[4].weight, 0.0, 0.5)
    return network


def images(seed: int = 0) -> torch.Tensor:
    return 3 * torch.rand(2, 4, 1, 6, 6, generator=torch.Generator().manual_seed(seed))


def record_compiled(monkeypatch) -> list:
    seen = []
    monkeypatch.setattr(torch, "compile", lambda function, **_options: seen.append(function) or function)
    return seen


def test_short_trainings_and_off_are_not_compiled():
    network, spiking = nn.Linear(2, 2), convolutional()
    assert forward_of(network, "off", steps=10**6) is network
    assert forward_of(network, "auto", steps=WORTHWHILE_STEPS - 1) is network
    assert forward_of(network, "on", steps=1) is not network
    assert forward_of(spiking, "off", steps=10**6) is spiking
    assert forward_of(spiking, "auto", steps=WORTHWHILE_STEPS_OF_NEURONS - 1) is spiking
    assert forward_of(spiking, "auto", steps=WORTHWHILE_STEPS_OF_NEURONS) is not spiking


def test_a_network_without_convolutions_is_compiled_whole(monkeypatch):
    seen = record_compiled(monkeypatch)
    network = models.build("digits-mlp")
    forward_of(network, "on", steps=1)
    assert seen == [network]


def test_of_a_convolutional_network_the_neurons_are_compiled_each_with_code_of_its_own(monkeypatch):
    seen = record_compiled(monkeypatch)
    forward_of(convolutional(), "on", steps=1)
    assert len({id(function.__code__) for function in seen}) == 2


def test_a_twin_with_convolutions_is_compiled_on_request_alone(monkeypatch):
    seen = record_compiled(monkeypatch)
    twin = models.build("lenet5", neuron="relu")
    assert forward_of(twin, "auto", steps=10**6) is twin
    forward_of(twin, "on", steps=1)
    assert seen == [twin]


@compilers_warn
@pytest.mark.parametrize("mode", ["on", "auto"])
def test_compiled_neurons_give_the_same_outputs_and_gradients(mode):
    eager, compiled = convolutional(), convolutional()
    forward = forward_of(compiled, mode, steps=10**6)
    for seed in (0, 1):  # the second call finds the state of the first reset
        for network, call in ((eager, eager), (compiled, forward)):
            reset_neurons(network)
            network.zero_grad()
            network.spikes = call(images(seed))
            network.spikes.square().sum().backward()
        assert eager.spikes.sum() > 0
        assert torch.equal(compiled.spikes, eager.spikes)
        for ours, theirs in zip(compiled.parameters(), eager.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)


@compilers_warn
def test_between_two_calls_the_network_is_as_it_was():
    network = convolutional()
    keys, forward = list(network.state_dict()), forward_of(network, "on", steps=1)
    forward(images())
    assert not any("forward" in vars(module) for module in network.modules())
    assert list(network.state_dict()) == keys
    assert network[2].v.shape == (4, 2, 4, 4)  # the neurons' state stays in the network
    reset_neurons(network)
    torch.testing.assert_close(copy.deepcopy(network)(images()), network(images()))


@compilers_warn
def test_a_call_that_fails_leaves_the_neurons_as_they_were():
    network = convolutional()
    forward = forward_of(network, "on", steps=1)
    with pytest.raises(RuntimeError, match="channels"):
        forward(torch.rand(2, 4, 5, 6, 6))
    assert not any("forward" in vars(module) for module in network.modules())


def test_a_neuron_with_a_forward_of_its_own_keeps_it(monkeypatch):
    network = convolutional()
    network[2].forward = lambda current: torch.zeros_like(current)
    seen = record_compiled(monkeypatch)
    forward = forward_of(network, "on", steps=1)
    assert len(seen) == 1
    assert forward(images()).count_nonzero() == 0
    assert "forward" in vars(network[2])


def test_without_a_compiler_the_neurons_run_eagerly_with_one_warning(monkeypatch, caplog):
    def broken(_function, **_options):
        def call(*_arguments):
            raise RuntimeError("no compiler found")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(CompiledOrEager, "_reported", False)
    network = convolutional()
    forward = forward_of(network, "auto", steps=10**6)
    with caplog.at_level(logging.WARNING):
        spikes = forward(images())
    assert len(caplog.records) == 1
    reset_neurons(network)
    assert torch.equal(spikes, network(images()))


@compilers_warn
def test_rewiring_works_with_compiled_neurons():
    network = convolutional()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    method = methods.create("gradr", network, optimizer, density=0.3, steps=20)
    forward = forward_of(network, "on", steps=20)
    for step in range(20):
        reset_neurons(network)
        optimizer.zero_grad()
        (forward(images(step)).mean(0) - 0.5).square().mean().backward()
        optimizer.step()
    assert method.finalize().density == pytest.approx(0.3, abs=0.01)
