"""The criteria that count the inputs of each synapse, against loops over spikes."""

import copy
from itertools import product

import pytest
import torch
from spikingjelly.activation_based import functional, layer
from torch import Tensor, nn
from torch.nn.functional import unfold

from snnprune import criteria
from snnprune.criteria.activity import input_sums
from snnprune.synapses import find_synapses

LAYERS = {
    "linear": (nn.Linear(4, 3), (5, 4)),
    "tokens": (nn.Linear(4, 3, bias=False), (2, 5, 4)),
    "conv": (nn.Conv2d(2, 3, (2, 3), stride=(1, 2), padding=1), (2, 2, 4, 5)),
    "dilated": (nn.Conv1d(2, 3, 2, dilation=2, bias=False), (2, 2, 6)),
    "circular": (nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), (2, 1, 4, 4)),
    "same": (nn.Conv1d(2, 2, 3, padding="same"), (2, 2, 5)),
    "depthwise": (nn.Conv2d(3, 6, 2, groups=3), (2, 3, 3, 3)),
    "transposed": (nn.ConvTranspose2d(2, 4, 2, stride=2, groups=2, output_padding=1), (2, 2, 3, 3)),
    "volume": (nn.Conv3d(1, 2, 2), (1, 1, 3, 3, 3)),
    "multi-step": (layer.Conv2d(2, 2, 2, step_mode="m"), (3, 2, 2, 3, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_sum_for_each_weight_is_the_output_of_the_layer_with_that_weight_alone(name):
    module, shape = LAYERS[name]
    inputs = torch.randn(shape)
    zeros = {} if module.bias is None else {"bias": torch.zeros_like(module.bias)}
    expected = torch.zeros_like(module.weight)
    for index in product(*map(range, module.weight.shape)):
        alone = torch.zeros_like(module.weight)
        alone[index] = 1
        passed = torch.func.functional_call(module, {"weight": alone, **zeros}, (inputs,))
        expected[index] = passed.sum()
    (found,) = input_sums(
        module, [inputs], lambda values: values, exclude=(), layout="TB" if name == "multi-step" else "B"
    )
    torch.testing.assert_close(found["weight"], expected.detach(), rtol=1e-4, atol=1e-4)


def inputs_of(network: nn.Module, batches: list) -> dict[str, Tensor]:
    """Inputs of each layer in evaluation mode, [T, B of all batches, ...]."""
    twin, found = copy.deepcopy(network), {}
    twin.eval()
    for name, entry in find_synapses(twin).items():
        found[name] = []
        entry.module.register_forward_hook(lambda _, inputs, __, name=name: found[name].append(inputs[0]))
    for inputs, _ in batches:
        functional.reset_net(twin)
        twin(inputs)
    return {name: torch.cat(parts, 1).detach() for name, parts in found.items()}


def patches(inputs: Tensor) -> Tensor:
    """Inputs of the entries of the 3x3 kernels, [T * B, 9, positions]."""
    return unfold(inputs.flatten(0, 1), 3, padding=1)


def test_spikes_arrive_at_every_layer_of_the_network(network, batches):
    given = inputs_of(network, batches)
    assert {name: tuple(inputs.shape) for name, inputs in given.items()} == {
        "0.weight": (3, 12, 1, 6, 6),
        "6.weight": (3, 12, 36),
        "8.weight": (3, 12, 8),
    }
    assert set(given["6.weight"].unique().tolist()) == set(given["8.weight"].unique().tolist()) == {0, 1}


def test_wanda_uses_the_norm_of_each_synapse_input(network, batches):
    given, scores = inputs_of(network, batches), criteria.score("wanda", network, batches)
    norms = {
        "0.weight": patches(given["0.weight"]).square().sum((0, 2)).sqrt().view(1, 1, 3, 3),
        "6.weight": given["6.weight"].flatten(0, 1).norm(dim=0),
        "8.weight": given["8.weight"].sum((0, 1)).sqrt(),  # the number of spikes
    }
    for name, score in scores.items():
        torch.testing.assert_close(score, network.get_parameter(name).detach().abs() * norms[name])


def test_synops_divides_by_the_spikes_counted_one_by_one(network, batches):
    given, scores = inputs_of(network, batches), criteria.score("synops", network, batches)
    for name in ("6.weight", "8.weight"):
        counts = [0] * given[name].shape[-1]
        for spikes in given[name].flatten(0, 1).tolist():
            for neuron, spike in enumerate(spikes):
                counts[neuron] += spike != 0
        assert 0 in counts or name == "8.weight"
        expected = [
            [abs(weight) / count if count else 0.0 for weight, count in zip(row, counts, strict=True)]
            for row in network.get_parameter(name).tolist()
        ]
        torch.testing.assert_close(scores[name], torch.tensor(expected))


def test_synops_counts_the_positions_of_a_kernel_entry():
    network = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    image = torch.zeros(1, 1, 4, 4)
    image[0, 0, 0, 0] = image[0, 0, 2, 1] = 1
    counts = torch.zeros(3, 3)
    for row, column in product(range(4), range(4)):  # of the output
        for y, x in product(range(3), range(3)):  # of the kernel
            seen = (row + y - 1, column + x - 1)
            counts[y, x] += seen in [(0, 0), (2, 1)]
    # entries above or to the left of an output never see the spike in the corner
    assert counts.tolist() == [[2, 2, 1], [2, 2, 1], [1, 1, 1]]
    scores = criteria.score("synops", network, [image])
    torch.testing.assert_close(scores["weight"][0, 0], network.weight[0, 0].detach().abs() / counts)


def test_spike_flip_is_the_mean_input_times_the_weight_times_the_gain(network, batches):
    given, scores = inputs_of(network, batches), criteria.score("spike-flip", network, batches)
    normalisation = network[1]
    gain = normalisation.weight.abs() / (normalisation.running_var + normalisation.eps).sqrt()
    seen, real = patches(given["0.weight"]), patches(torch.ones_like(given["0.weight"]))
    mean = (seen.abs().sum((0, 2)) / real.sum((0, 2))).view(1, 1, 3, 3)
    factors = {
        "0.weight": mean * gain.detach()[:, None, None, None],
        "6.weight": given["6.weight"].mean((0, 1)),
        "8.weight": given["8.weight"].mean((0, 1)),
    }
    for name, score in scores.items():
        torch.testing.assert_close(score, network.get_parameter(name).detach().abs() * factors[name])


@pytest.mark.parametrize(
    ("normalisation", "gain"),
    [
        (nn.BatchNorm1d(2, affine=False, eps=0.0), [0.5, 2.0]),
        (nn.BatchNorm1d(2, track_running_stats=False), [3.0, 5.0]),
        (nn.BatchNorm1d(2, track_running_stats=False, affine=False), [1.0, 1.0]),
        (nn.Identity(), [1.0, 1.0]),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm1d(2)), [1.0, 1.0]),  # not right behind it
    ],
    ids=["no-affine", "no-statistics", "neither", "none", "after-the-neuron"],
)
def test_spike_flip_with_normalisations_of_every_kind(normalisation, gain):
    network = nn.Sequential(nn.Linear(3, 2, bias=False), normalisation)
    if getattr(normalisation, "running_var", None) is not None:
        normalisation.running_var.copy_(torch.tensor([4.0, 0.25]))
    if getattr(normalisation, "weight", None) is not None:
        normalisation.weight.data = torch.tensor([3.0, -5.0])
    inputs = torch.rand(4, 3)
    expected = network[0].weight.detach().abs() * inputs.mean(0) * torch.tensor(gain)[:, None]
    torch.testing.assert_close(criteria.score("spike-flip", network, [inputs])["0.weight"], expected)


def test_the_gain_of_grouped_transposed_channels_keeps_their_order():
    network = nn.Sequential(nn.ConvTranspose1d(4, 6, 1, groups=2, bias=False), nn.BatchNorm1d(6, eps=0.0))
    network[1].weight.data = torch.arange(1.0, 7.0)
    scores = criteria.score("spike-flip", network, [torch.ones(2, 4, 3)])["0.weight"]
    # weight (in 4, out of a group 3): the first two inputs lead to channels 0 1 2, the others to 3 4 5
    gains = torch.tensor([[1.0, 2, 3], [1, 2, 3], [4, 5, 6], [4, 5, 6]])
    torch.testing.assert_close(scores[:, :, 0], network[0].weight.detach()[:, :, 0].abs() * gains)


def test_a_layer_that_runs_twice_counts_twice():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 2, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.fc(x).relu())

    network, inputs = Twice(), torch.rand(3, 2)
    second = network.fc(inputs).relu().detach()
    norm = torch.cat([inputs, second]).norm(dim=0)
    scores = criteria.score("wanda", network, [inputs])
    torch.testing.assert_close(scores["fc.weight"], network.fc.weight.detach().abs() * norm)
