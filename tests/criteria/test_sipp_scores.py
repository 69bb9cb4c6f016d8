"""SiPP against loops over samples, rows and inputs."""

import copy
from collections.abc import Iterable
from itertools import product

import pytest
import torch
from spikingjelly.activation_based import functional, layer
from torch import Tensor, nn
from torch.nn.functional import unfold

from snnprune import criteria


def slow_shares(weights: list[float], activations: list[float]) -> list[float]:
    """One neuron, one position: each synapse's share in the drive by weights of its sign."""
    shares = [0.0] * len(weights)
    for sign in (1, -1):
        drives = [max(0.0, sign * weight) * given for weight, given in zip(weights, activations, strict=True)]
        for index, drive in enumerate(drives):
            if drive > 0:
                shares[index] = drive / sum(drives)
    return shares


def slow_sipp(weight: Tensor, samples: Iterable[Tensor]) -> Tensor:
    """weight (rows, inputs); each sample (inputs, positions). The largest over samples of the mean over positions."""
    best = torch.zeros(weight.shape)
    for sample, sign in product(samples, (1, -1)):
        positions = (sign * sample).clamp(min=0).T.tolist()
        for row, weights in enumerate(weight.tolist()):
            shares = torch.tensor([slow_shares(weights, activations) for activations in positions]).mean(0)
            best[row] = torch.maximum(best[row], shares)
    return best


@pytest.mark.parametrize("signs", ["positive", "both"])
def test_a_linear_layer(signs):
    network, inputs = nn.Linear(5, 3), torch.randn(6, 5)
    inputs = inputs.relu() if signs == "positive" else inputs
    expected = slow_sipp(network.weight, inputs[:, :, None])
    torch.testing.assert_close(criteria.score("sipp", network, [inputs[:2], inputs[2:]])["weight"], expected)


@pytest.mark.parametrize("signs", ["positive", "both"])
def test_a_convolution_takes_the_mean_over_positions(signs):
    network, inputs = nn.Conv2d(2, 3, 2, stride=2, padding=1), torch.randn(4, 2, 4, 4)
    inputs = inputs.relu() if signs == "positive" else inputs
    expected = slow_sipp(network.weight.flatten(1), unfold(inputs, 2, stride=2, padding=1))
    scores = criteria.score("sipp", network, [(inputs, torch.zeros(4))])["weight"]
    torch.testing.assert_close(scores.flatten(1), expected)


def test_a_grouped_convolution_is_one_for_each_group():
    network, inputs = nn.Conv1d(4, 6, 2, groups=2, bias=False), torch.rand(3, 4, 5)
    scores = criteria.score("sipp", network, [inputs])["weight"]
    for group in range(2):
        alone = nn.Conv1d(2, 3, 2, bias=False)
        alone.weight.data = network.weight.data[3 * group : 3 * group + 3].clone()
        part = criteria.score("sipp", alone, [inputs[:, 2 * group : 2 * group + 2]])["weight"]
        torch.testing.assert_close(scores[3 * group : 3 * group + 3], part)


def test_a_transposed_convolution_without_overlap_is_a_linear_layer_at_each_position():
    # kernel 2, stride 2: each output position is driven by one input position and one kernel entry
    network, inputs = nn.ConvTranspose1d(3, 2, 2, stride=2), torch.rand(4, 3, 5)
    scores = criteria.score("sipp", network, [inputs])["weight"]
    for entry in range(2):
        expected = slow_sipp(network.weight[:, :, entry].T, inputs)
        torch.testing.assert_close(scores[:, :, entry].T, expected / 2)  # of twice as many output positions


def test_time_steps_are_averaged_to_rates_before_they_are_compared(network, batches):
    given, twin = {}, copy.deepcopy(network).eval()
    functional.reset_net(twin)
    for index in (0, 6, 8):
        twin[index].register_forward_hook(lambda _, inputs, __, index=index: given.update({index: inputs[0].detach()}))
    twin(batches[0][0])
    scores = criteria.score("sipp", network, batches[:1])
    positions = unfold(given[0].mean(0), 3, padding=1)
    torch.testing.assert_close(scores["0.weight"].flatten(1), slow_sipp(network[0].weight.flatten(1), positions))
    for index in (6, 8):
        expected = slow_sipp(network[index].weight, given[index].mean(0)[:, :, None])
        torch.testing.assert_close(scores[f"{index}.weight"], expected)


def test_the_synapses_of_a_silent_neuron_get_nothing(network, batches):
    channels = criteria.score("sipp", network, batches)["6.weight"].view(8, 4, 9).any(0).any(1)
    assert channels[1:].tolist() == [True, True, True]
    network[1].bias.data[2] = -99.0  # channel 2 never fires
    channels = criteria.score("sipp", network, batches)["6.weight"].view(8, 4, 9).any(0).any(1)
    assert channels[1:].tolist() == [True, False, True]


def test_one_time_step_is_as_good_as_none():
    plain, timed = nn.Conv2d(2, 3, 2), layer.Conv2d(2, 3, 2, step_mode="m")
    timed.load_state_dict(plain.state_dict())
    images = torch.rand(3, 2, 4, 4)
    expected = criteria.score("sipp", plain, [images])["weight"]
    torch.testing.assert_close(criteria.score("sipp", timed, [images[None]])["weight"], expected)


def test_a_vanishing_drive_is_none():
    network = nn.Linear(2, 2, bias=False)
    network.weight.data = torch.tensor([[1e-38, 0.0], [1.0, 1e-30]])
    scores = criteria.score("sipp", network, [torch.tensor([[1e-6, 1.0], [1.0, 3e38]])])["weight"]
    assert scores.isfinite().all()
    assert scores[0].tolist() == [0, 0]
    assert float(scores.max()) <= 1
