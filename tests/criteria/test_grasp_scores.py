import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from snnprune import criteria
from snnprune.synapses import find_synapses

TEMPERATURE = 2.0


def smooth(activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), activation, nn.Linear(4, 2, bias=False)).double()


def batches(count: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(5, 3, generator=generator).double(), torch.randint(0, 2, (5,), generator=generator))
        for _ in range(count)
    ]


def loss_at(network: nn.Module, data: list[tuple[Tensor, Tensor]]):
    """The mean loss as a function of the two weight tensors."""

    def loss(*weights: Tensor) -> Tensor:
        values = dict(zip(find_synapses(network), weights, strict=True))
        outputs = [torch.func.functional_call(network, values, (inputs,)) / TEMPERATURE for inputs, _ in data]
        losses = [cross_entropy(output, labels) for output, (_, labels) in zip(outputs, data, strict=True)]
        return torch.stack(losses).mean()

    return loss


def parameters(network: nn.Module) -> tuple[Tensor, ...]:
    return tuple(entry.parameter.detach().clone().requires_grad_() for entry in find_synapses(network).values())


@pytest.mark.parametrize("activation", [nn.Tanh(), nn.ReLU(), nn.Sigmoid()])
@pytest.mark.parametrize("count", [1, 3])
def test_it_is_the_weight_times_the_hessian_times_the_gradient(activation, count):
    network, data = smooth(activation), batches(count)
    loss, weights = loss_at(network, data), parameters(network)
    slopes = torch.autograd.grad(loss(*weights), weights)
    _, bent = torch.autograd.functional.hvp(loss, weights, slopes)
    scores = criteria.score("grasp", network, data, temperature=TEMPERATURE)
    for score, weight, part in zip(scores.values(), weights, bent, strict=True):
        torch.testing.assert_close(score, (weight * part).detach(), rtol=1e-4, atol=1e-7)
        assert score.any()


def test_it_is_the_explicit_hessian_on_six_weights():
    network, data = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Tanh()).double(), batches(2)
    loss, (weight,) = loss_at(network, data), parameters(network)
    slope = torch.autograd.functional.jacobian(loss, weight).flatten()
    hessian = torch.autograd.functional.hessian(loss, weight).reshape(6, 6)
    expected = weight.detach() * (hessian @ slope).view(2, 3)
    scores = criteria.score("grasp", network, data, temperature=TEMPERATURE)
    torch.testing.assert_close(scores["0.weight"], expected, rtol=1e-4, atol=1e-7)


def test_a_little_less_of_a_weight_lowers_the_gradient_by_twice_its_score():
    network, data = smooth(nn.Tanh()), batches(2)
    loss, weights = loss_at(network, data), parameters(network)
    scores = criteria.score("grasp", network, data, temperature=TEMPERATURE)

    def squared_norm(changed: tuple[Tensor, ...]) -> float:
        return sum(float(slope.square().sum()) for slope in torch.autograd.grad(loss(*changed), changed))

    for layer, score in enumerate(scores.values()):
        for index in range(score.numel()):
            less = [weight.detach().clone() for weight in weights]
            less[layer].view(-1)[index] *= 1 - 1e-5
            change = squared_norm(tuple(weight.requires_grad_() for weight in less)) - squared_norm(weights)
            assert change / 1e-5 == pytest.approx(-2 * float(score.flatten()[index]), rel=1e-2, abs=1e-5)
