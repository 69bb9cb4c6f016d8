"""The criteria that use gradients, against plain .backward() on a copy of the network."""

import copy

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from snnprune import InputError, criteria
from snnprune.criteria.gradients import visit_gradients
from snnprune.losses import mse
from snnprune.synapses import find_synapses


def backward(network: nn.Module, inputs: Tensor, labels: Tensor, *, batch_statistics: bool, loss=mse) -> dict:
    """The gradients of a training step without dropout."""
    twin = copy.deepcopy(network)
    functional.reset_net(twin)
    twin.zero_grad()
    twin.eval()
    for module in twin.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train(batch_statistics)
    loss(twin(inputs), labels).backward()
    return {name: entry.parameter.grad for name, entry in find_synapses(twin).items()}


def weights(network: nn.Module) -> dict:
    return {name: entry.parameter.detach() for name, entry in find_synapses(network).items()}


def test_snip_taylor_and_movement_follow_from_backward(network, batches):
    slopes = [backward(network, *batch, batch_statistics=True) for batch in batches]
    scores = {name: criteria.score(name, network, batches) for name in ("snip", "taylor", "movement")}
    both = {name: slopes[0][name] + slopes[1][name] for name in slopes[0]}
    whole = sum(float((weight * both[name]).abs().sum()) for name, weight in weights(network).items())
    for name, weight in weights(network).items():
        first, second = (weight * slope[name] for slope in slopes)
        assert both[name].any()
        torch.testing.assert_close(scores["snip"][name], (weight * both[name]).abs() / whole)
        torch.testing.assert_close(scores["taylor"][name], (first.abs() + second.abs()) / 2)
        torch.testing.assert_close(scores["movement"][name], -(first + second) / 2)
    assert float(sum(score.sum() for score in scores["snip"].values())) == pytest.approx(1)


@pytest.mark.parametrize("loss", [mse, lambda output, labels: cross_entropy(output.mean(0), labels)])
def test_fisher_is_the_mean_square_of_single_samples(loss, network, batches):
    scores = criteria.score("fisher", network, batches, loss=loss)
    singles = [
        backward(network, inputs[:, index : index + 1], labels[index : index + 1], batch_statistics=False, loss=loss)
        for inputs, labels in batches
        for index in range(len(labels))
    ]
    assert len(singles) == 12
    for name, weight in weights(network).items():
        information = torch.stack([slopes[name].square() for slopes in singles]).mean(0)
        torch.testing.assert_close(scores[name], 0.5 * weight.square() * information)


def rates(step_first: bool) -> nn.Sequential:
    """A spiking network for [T, B, 4], or the ANN for [B, 4]."""
    if not step_first:
        return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    spiking = neuron.IFNode(surrogate_function=surrogate.Sigmoid(), step_mode="m")
    return nn.Sequential(layer.Linear(4, 5, step_mode="m"), spiking, layer.Linear(5, 3, step_mode="m"))


@pytest.mark.parametrize(("steps", "samples"), [(3, 3), (4, 4), (2, 3), (1, 1), (3, 1), (1, 3)])
def test_fisher_finds_the_samples_even_where_there_are_as_many_time_steps(steps, samples):
    network, inputs, labels = rates(True), 4 * torch.rand(steps, samples, 4), torch.arange(samples) % 3
    scores = criteria.score("fisher", network, [(inputs, labels)])
    # one batch for each sample leaves no doubt about the axis
    plain = [(inputs[:, index : index + 1], labels[index : index + 1]) for index in range(samples)]
    for name, score in criteria.score("fisher", network, plain).items():
        torch.testing.assert_close(scores[name], score)


def test_fisher_finds_the_samples_of_images_with_as_many_channels():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    images, labels = torch.rand(3, 3, 4, 4), torch.arange(3)
    scores = criteria.score("fisher", network, [(images, labels)])
    plain = [(images[index : index + 1], labels[index : index + 1]) for index in range(3)]
    for name, score in criteria.score("fisher", network, plain).items():
        torch.testing.assert_close(scores[name], score)


@pytest.mark.parametrize("shape", [(3, 4, 4), (5, 4), (4,)])
def test_labels_that_fit_no_axis_are_refused(shape):
    with pytest.raises(
        InputError, match=r"6 labels do not fit inputs of shape \(.*\): pass \[B, \.\.\.\] or \[T, B, \.\.\.\]"
    ):
        criteria.fisher(rates(False), [(torch.rand(shape), torch.zeros(6, dtype=torch.int64))])


@pytest.mark.parametrize("name", ["snip", "taylor", "movement", "fisher", "grasp"])
def test_inputs_without_labels_are_refused_whoever_calls(name):
    with pytest.raises(InputError, match=r"this criterion needs labels, found inputs alone: pass \[\(inputs, labels\)"):
        getattr(criteria, name)(rates(False), [torch.rand(2, 4)])


@pytest.mark.parametrize("name", ["snip", "taylor", "movement", "fisher", "grasp"])
def test_a_layer_that_no_gradient_reaches_is_reported(name):
    network = rates(False)
    with torch.no_grad():
        network[0].bias.fill_(1)
        network[2].weight.zero_()
    with pytest.raises(InputError, match=r"no gradient reaches 0\.weight on .*: the layers behind are silent"):
        criteria.score(name, network, [(torch.rand(2, 4), torch.tensor([0, 1]))])


@pytest.mark.parametrize("name", ["snip", "taylor", "movement", "fisher", "grasp"])
def test_a_layer_that_is_not_run_is_reported_and_may_be_excluded(name):
    class Branched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.resting = rates(False), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    batch = (torch.rand(2, 4), torch.tensor([0, 1]))
    with pytest.raises(InputError, match=r"no spike reaches resting\.weight"):
        criteria.score(name, Branched(), [batch])
    assert list(criteria.score(name, Branched(), [batch], exclude=["resting"])) == ["used.0.weight", "used.2.weight"]


def test_a_shared_weight_gets_the_gradient_of_both_its_uses():
    network = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Tanh(), nn.Linear(3, 3, bias=False))
    network[2].weight = network[0].weight
    inputs, labels = torch.rand(4, 3), torch.tensor([0, 1, 2, 0])
    scores = criteria.score("movement", network, [(inputs, labels)])
    mse(network(inputs), labels).backward()
    assert list(scores) == ["0.weight"]
    torch.testing.assert_close(scores["0.weight"], -(network[0].weight * network[0].weight.grad).detach())


def test_an_error_of_the_visitor_leaves_no_hooks(network, batches):
    def fail(_leaves, _slopes) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        visit_gradients(network, batches, mse, fail, exclude=())
    assert not any(module._forward_hooks for module in network.modules())
    assert network.training
