import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

import models
from snnprune import InputError, criteria
from snnprune.synapses import find_synapses


def relative(scores: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    largest = max(float(score.max()) for score in scores.values())
    return {name: score / largest for name, score in scores.items()}


def test_three_layers_equal_the_products_of_their_absolute_weights():
    network = nn.Sequential(nn.Linear(4, 5), neuron.LIFNode(), nn.Linear(5, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    first, second, third = (entry.parameter.detach().double().abs() for entry in find_synapses(network).values())
    into = [torch.ones(4, dtype=torch.float64), first.sum(1), second @ first.sum(1)]
    out = [third.sum(0) @ second, third.sum(0), torch.ones(2, dtype=torch.float64)]
    scores = criteria.score("synflow", network, [torch.rand(7, 4)])
    expected = {
        name: weight * out[index][:, None] * into[index][None]
        for index, (name, weight) in enumerate(zip(scores, (first, second, third), strict=True))
    }
    for name, score in relative(expected).items():
        torch.testing.assert_close(scores[name], score.float())


def test_the_flow_is_conserved_from_layer_to_layer():
    # Theorem of the paper: the scores of all layers of a chain have the same sum.
    network = models.build("lenet5")
    scores = criteria.score("synflow", network, [torch.rand(2, 1, 28, 28)])
    sums = [float(score.double().sum()) for score in scores.values()]
    assert sums == pytest.approx([sums[0]] * 4, rel=1e-4)


def test_signs_biases_thresholds_and_normalisation_do_not_matter():
    network = nn.Sequential(
        layer.Conv2d(2, 3, 3, step_mode="m"),
        layer.BatchNorm2d(3, step_mode="m"),
        neuron.LIFNode(step_mode="m"),
        layer.Flatten(step_mode="m"),
        layer.Linear(12, 2, step_mode="m"),
    )
    images = torch.rand(3, 2, 2, 4, 4)
    plain = criteria.score("synflow", network, [images])
    with torch.no_grad():
        network[0].weight.neg_()
        network[0].bias.fill_(3)
        network[1].weight.fill_(-2)
        network[1].running_mean.fill_(5)
    network[2].v_threshold = 99.0
    again = criteria.score("synflow", network, [0 * images])
    assert all(torch.equal(score, plain[name]) for name, score in again.items())


def test_excluded_layers_still_carry_the_flow():
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    network[0].weight.data = torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    network[1].weight.data = torch.tensor([[-1.0, 3.0]])
    scores = criteria.score("synflow", network, [torch.rand(1, 2)], exclude=["1"])
    # the second layer multiplies the rows by 1 and 3; relative to the largest returned score
    torch.testing.assert_close(scores, {"0.weight": torch.tensor([[1 / 3, 1 / 3], [1, 1]])})


def test_a_deep_network_does_not_overflow():
    network = nn.Sequential(*(nn.Linear(64, 64, bias=False) for _ in range(60)))
    with torch.no_grad():
        for entry in find_synapses(network).values():
            entry.parameter.fill_(10)  # 640^60 is 10^168
    scores = criteria.score("synflow", network, [torch.rand(1, 64)])
    assert all(torch.equal(score, torch.ones(64, 64)) for score in scores.values())


def test_a_network_without_a_path_is_reported():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    network[1].weight.data.zero_()
    with pytest.raises(InputError, match=r"no path of synapses leads through the network, .* check 1\.weight$"):
        criteria.score("synflow", network, [torch.rand(1, 2)])
    network[1].weight.data[0, 0] = 1
    network[2].weight.data[0, 0] = 0
    with pytest.raises(InputError, match=r"no path of synapses .* check 0\.weight, 1\.weight, 2\.weight$"):
        criteria.score("synflow", network, [torch.rand(1, 2)])


@pytest.mark.parametrize("name", ["synflow", "spike_flip"])
def test_no_batches_are_refused_whoever_calls(name):
    with pytest.raises(InputError, match=r"this criterion needs data, found no batches: pass \[inputs, \.\.\.\]"):
        getattr(criteria, name)(nn.Linear(2, 2), [])
