"""Properties of every registered criterion; a new one is tested as soon as it is registered."""

import copy

import pytest
import torch
from spikingjelly.activation_based import encoding, functional
from torch import Tensor, nn

import models
from snnprune import InputError, criteria
from snnprune.synapses import find_synapses

NAMES = criteria.names()
WITH_DATA = [name for name in NAMES if criteria.find(name).needs != "nothing" and name != "synflow"]
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


def traces(network: nn.Module) -> dict[str, Tensor]:
    """The whole visible state of a network, and the global random state."""
    seen = {f"state {key}": value for key, value in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        seen[f"grad {name}"] = torch.zeros(0) if parameter.grad is None else parameter.grad
        seen[f"requires grad {name}"] = torch.tensor(parameter.requires_grad)
    for name, module in network.named_modules():
        seen[f"mode {name}"] = torch.tensor(module.training)
        seen[f"hooks {name}"] = torch.tensor([len(module._forward_hooks), len(module._forward_pre_hooks)])
        for key, value in getattr(module, "_memories", {}).items():
            seen[f"memory {name} {key}"] = torch.as_tensor([] if value is None else value)
    seen["random numbers"] = torch.get_rng_state()
    return {key: value.detach().clone() for key, value in seen.items()}


def changed(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[str]:
    assert first.keys() == second.keys()
    return [key for key, value in first.items() if not torch.equal(value, second[key])]


@pytest.mark.parametrize("name", NAMES)
def test_the_network_is_left_as_it_was(name, network, batches):
    before, twin = traces(network), copy.deepcopy(network)  # without .grad
    assert before["memory 2 v"].any()
    assert before["grad 0.weight"].any()
    criteria.score(name, network, batches)
    assert changed(traces(network), before) == []
    # the network continues in the middle of a sequence
    images = batches[0][0]
    torch.manual_seed(9)
    expected = twin(images)
    torch.manual_seed(9)
    assert torch.equal(network(images), expected)
    assert [key for key in changed(traces(network), traces(twin)) if not key.startswith("grad")] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_network_that_draws_random_numbers_does_not_disturb_those_of_the_training(name, network, batches):
    noisy = nn.Sequential(encoding.PoissonEncoder(), *network)
    # Twenty draws of each image: whatever a version of torch draws, spikes reach the last layer.
    images = [(inputs.repeat(1, 20, 1, 1, 1) / 3, labels.repeat(20)) for inputs, labels in batches]
    before = torch.get_rng_state()
    criteria.score(name, noisy, images)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", NAMES)
def test_scores_have_the_names_and_shapes_of_the_synapses(name, network, batches):
    scores = criteria.score(name, network, batches)
    assert {key: value.shape for key, value in scores.items()} == {
        key: entry.parameter.shape for key, entry in find_synapses(network).items()
    }
    for key, score in scores.items():
        assert score.dtype == torch.float32
        assert not score.requires_grad
        assert score.isfinite().all(), key
        assert score.any(), key
        assert score.data_ptr() != network.get_parameter(key).data_ptr()


@pytest.mark.parametrize("name", NAMES)
def test_excluded_layers_get_no_scores_and_change_no_others(name, network, batches):
    whole = criteria.score(name, network, batches)
    scores = criteria.score(name, network, batches, exclude=(entry for entry in ["0", nn.Conv2d, "8.*"]))
    assert list(scores) == ["6.weight"]
    if name not in ("snip", "synflow", "random", "grasp"):  # these normalise, or draw, all layers together
        assert torch.equal(scores["6.weight"], whole["6.weight"])


@pytest.mark.parametrize("name", NAMES)
def test_autocast_and_no_grad_around_it_change_nothing(name, network, batches):
    plain = criteria.score(name, network, batches)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        scores = criteria.score(name, network, batches)
    assert all(score.dtype == torch.float32 for score in scores.values())
    assert changed(scores, plain) == []


@pytest.mark.parametrize("name", NAMES)
def test_frozen_weights_get_the_same_scores(name, network, batches):
    plain = criteria.score(name, network, batches)
    network.requires_grad_(False)
    assert changed(criteria.score(name, network, batches), plain) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_network_in_double_precision_gets_nearly_the_same_scores(name, network, batches):
    plain = criteria.score(name, network, batches)
    double = copy.deepcopy(network).double()
    functional.reset_net(double)
    scores = criteria.score(name, double, [(inputs.double(), labels) for inputs, labels in batches])
    for key, score in scores.items():
        assert score.dtype == (torch.float32 if name == "random" else torch.float64)
        torch.testing.assert_close(score.float(), plain[key], rtol=1e-3, atol=1e-3 * float(plain[key].abs().max()))


@pytest.mark.parametrize("name", NAMES)
def test_scoring_twice_gives_equal_scores(name, network, batches):
    first = criteria.score(name, network, (batch for batch in batches))
    assert changed(criteria.score(name, network, batches), first) == []
    # a DataLoader gives lists instead of tuples
    assert changed(criteria.score(name, network, [list(batch) for batch in batches]), first) == []


@pytest.mark.parametrize("name", WITH_DATA)
def test_a_silent_network_is_reported_by_layer_and_left_unchanged(name, network, batches):
    with torch.no_grad():
        network[6].weight.zero_()
        network[6].bias.zero_()
    before = traces(network)
    with pytest.raises(InputError, match=r"no spike reaches 8\.weight on the given .*stronger inputs") as caught:
        criteria.score(name, network, batches)
    assert "\n" not in str(caught.value)
    assert changed(traces(network), before) == []


@pytest.mark.parametrize("name", WITH_DATA)
def test_every_silent_layer_is_named(name, network, batches):
    network[1].bias.data.fill_(-9)
    darkness = [(0 * inputs, labels) for inputs, labels in batches]
    with pytest.raises(InputError, match=r"no spike reaches 0\.weight, 6\.weight, 8\.weight on the given batches"):
        criteria.score(name, network, darkness)
    with pytest.raises(InputError, match=r"no spike reaches 6\.weight on the given batches"):
        criteria.score(name, network, batches, exclude=["0", "8"])


@pytest.mark.parametrize("name", WITH_DATA)
def test_a_network_that_fails_half_way_is_left_as_it_was(name, network, batches):
    before = traces(network)
    wrong = [*batches, (torch.ones(3, 6, 2, 6, 6), batches[0][1])]
    with pytest.raises(InputError, match=r"does not take inputs .* channels"):
        criteria.score(name, network, wrong)
    assert changed(traces(network), before) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_ann_twin(name):
    twin = models.build("digits-mlp", neuron="relu")
    batch = (torch.rand(8, 1, 8, 8), torch.arange(8))
    scores = criteria.score(name, twin, [batch])
    assert list(scores) == ["fc1.weight", "fc2.weight"]
    assert all(score.isfinite().all() and score.any() for score in scores.values())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NAMES)
def test_a_convolutional_network(name, device):
    network = models.build("lenet5", timesteps=2).to(device)
    with torch.no_grad():
        for entry in find_synapses(network).values():
            entry.parameter.mul_(8)  # fresh weights would leave the last layers silent
    batch = (torch.rand(4, 1, 28, 28, device=device), torch.arange(4, device=device))
    scores = criteria.score(name, network, [batch])
    assert {key: value.shape for key, value in scores.items()} == {
        key: entry.parameter.shape for key, entry in find_synapses(network).items()
    }
    assert all(score.isfinite().all() and score.any() and score.device.type == device for score in scores.values())
