"""The networks: their sizes, their twins, and that the static layers run once per image."""

import copy

import pytest
import torch
from spikingjelly.activation_based import functional, neuron
from spikingjelly.activation_based.functional.conv_bn_fusion import fuse_conv_bn_eval_modules
from torch import nn

import models
from snnprune.errors import InputError
from snnprune.synapses import find_synapses

SHAPES = {
    "digits-mlp": (1, 8, 8),
    "mnist-mlp": (1, 28, 28),
    "lenet5": (1, 28, 28),
    "cifar10-cnn": (3, 32, 32),
    "vgg11": (3, 32, 32),
}


def images_for(name: str, batch: int = 2) -> torch.Tensor:
    return 2 * torch.rand(batch, *SHAPES[name], generator=torch.Generator().manual_seed(0))


def lively(name: str, **options) -> models.StaticInputNetwork:
    """A network whose output neurons spike: freshly initialised ones are silent."""
    torch.manual_seed(0)
    network = models.build(name, **options)
    with torch.no_grad():
        for parameter_name, parameter in network.named_parameters():
            if parameter_name.startswith("fc"):
                parameter.mul_(8)
    return network


def settle(network: nn.Module, images: torch.Tensor) -> None:
    """Give batch normalisation the statistics of these images."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(images)
    functional.reset_net(network)


def test_names_are_known():
    assert models.names() == sorted(SHAPES)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("digits-mlp", {"fc": 64 * 128 + 128 * 10}),
        ("mnist-mlp", {"fc1": 627_200, "fc2": 8_000}),
        ("lenet5", {"conv1": 500, "conv2": 25_000, "fc1": 400_000, "fc2": 5_000}),
        ("cifar10-cnn", {"conv": 2_956_032, "fc1": 33_554_432, "fc2": 204_800}),
        ("vgg11", {"conv": 9_217_728, "fc": 5_120}),
        ("784-512-10", {"fc1": 401_408, "fc2": 5_120}),
        ("P7-16-128-128-10", {"fc1": 2_048, "fc2": 16_384, "fc3": 1_280}),
    ],
)
def test_numbers_of_synapses(name, counts):
    synapses = find_synapses(models.build(name))
    for part, expected in counts.items():
        assert sum(s.parameter.numel() for key, s in synapses.items() if key.startswith(part)) == expected
    assert sum(s.parameter.numel() for s in synapses.values()) == sum(counts.values())
    assert all(s.module.bias is None for s in synapses.values())


def test_sizes_of_the_papers():
    totals = {n: sum(s.parameter.numel() for s in find_synapses(models.build(n)).values()) for n in SHAPES}
    assert totals["mnist-mlp"] == 635_200
    assert totals["cifar10-cnn"] == 36_715_264
    assert totals["lenet5"] == 430_500


@pytest.mark.parametrize("name", list(SHAPES))
def test_output_is_spikes_over_time(name):
    network = lively(name, timesteps=2)
    spikes = network(images_for(name))
    assert spikes.shape == (2, 2, 10)
    steps = 10 if name == "cifar10-cnn" else 1  # ten neurons vote: multiples of a tenth
    assert torch.equal((spikes * steps).round() / steps, spikes)
    assert spikes.min() >= 0
    assert 0 < spikes.mean() < 1


@pytest.mark.parametrize("name", list(SHAPES))
def test_gradient_reaches_every_synapse_tensor(name):
    network = lively(name, timesteps=2)
    network(images_for(name)).mean().backward()
    for key, synapses in find_synapses(network).items():
        gradient = synapses.parameter.grad
        assert gradient is not None, key
        assert gradient.count_nonzero() > 0, key


@pytest.mark.parametrize("name", ["lenet5", "vgg11"])
def test_convolutions_spike_when_fresh(name):
    torch.manual_seed(0)
    network = models.build(name, timesteps=4)
    rates = {}
    for key, module in network.named_children():
        if isinstance(module, neuron.BaseNode):
            module.register_forward_hook(lambda _m, _i, out, key=key: rates.update({key: out.mean().item()}))
    network(images_for(name, batch=4))
    after_conv = [rates[f"neuron{key[4:-7]}"] for key in network.state_dict() if key.startswith("conv")]
    assert len(after_conv) == {"lenet5": 2, "vgg11": 8}[name]
    assert min(after_conv) > 0.01


@pytest.mark.parametrize("name", list(SHAPES))
def test_twin_has_the_same_parameters(name):
    spiking, twin = models.build(name), models.build(name, neuron="relu", timesteps=8)
    twin.load_state_dict(spiking.state_dict())
    assert list(twin.state_dict()) == list(spiking.state_dict())
    assert twin.timesteps == 1
    assert twin(images_for(name)).shape == (1, 2, 10)
    assert not any(isinstance(module, neuron.BaseNode) for module in twin.modules())
    assert (twin(images_for(name)) < 0).any()  # a rectified output would have no gradient there


def test_parameters_have_plain_names():
    assert list(models.build("mnist-mlp").state_dict()) == ["fc1.weight", "fc2.weight"]
    weights = [key for key, _ in models.build("lenet5").named_parameters() if key.endswith("weight")]
    assert weights == ["conv1.weight", "bn1.weight", "conv2.weight", "bn2.weight", "fc1.weight", "fc2.weight"]


def test_single_step_mode_runs_one_time_step():
    network = lively("digits-mlp", timesteps=3)
    images = images_for("digits-mlp")
    expected = network(images)
    functional.reset_net(network)
    functional.set_step_mode(network, "s")
    assert expected.sum() > 0
    assert torch.equal(torch.stack([network(images) for _ in range(3)]), expected)


def test_its_layers_run_without_it():
    network = lively("digits-mlp", timesteps=3)
    plain = nn.Sequential(*copy.deepcopy(network))
    functional.set_step_mode(plain, "s")
    images = images_for("digits-mlp")
    assert torch.equal(torch.stack([plain(images) for _ in range(3)]), network(images))
    assert [key.partition(".")[2] for key in plain.state_dict()] == ["weight", "weight"]


def test_batch_normalisation_can_be_folded_in():
    network = lively("lenet5", timesteps=3)
    images = images_for("lenet5", batch=8)
    settle(network, images)
    expected = network.eval()(images)
    functional.reset_net(network)
    folded = fuse_conv_bn_eval_modules(network)
    assert "bn1" not in dict(folded.named_children())
    assert expected.sum() > 0
    assert (folded(images) - expected).abs().mean() < 0.01  # rounding may shift a spike


def test_image_is_looked_at_once():
    network = lively("lenet5", timesteps=3)
    seen = {}
    for key in ("conv1", "bn1", "neuron1", "conv2"):
        network.get_submodule(key).register_forward_hook(
            lambda _m, inputs, _o, key=key: seen.setdefault(key, []).append(inputs[0].shape)
        )
    network(images_for("lenet5"))
    assert seen["conv1"] == [(2, 1, 28, 28)]
    assert seen["bn1"] == [(2, 20, 24, 24)]
    assert seen["neuron1"] == [(3, 2, 20, 24, 24)]
    assert seen["conv2"] == [(3, 2, 20, 12, 12)]


def test_current_is_repeated_without_copying():
    network = lively("mnist-mlp", timesteps=5)
    shown = []
    network.get_submodule("neuron1").register_forward_pre_hook(lambda _m, inputs: shown.append(inputs[0]))
    network(images_for("mnist-mlp"))
    assert shown[0].shape == (5, 2, 800)
    assert shown[0].stride(0) == 0


@pytest.mark.parametrize(("name", "training"), [("mnist-mlp", True), ("lenet5", False)])
def test_step_by_step_is_the_same(name, training):
    network = lively(name, timesteps=4)
    settle(network, images_for(name, batch=16))
    network.train(training)
    results = []
    for run in (network, lambda images: models.step_by_step(network, images), network):
        network.zero_grad()
        spikes = run(images_for(name))
        spikes.mean().backward()
        results.append((spikes.detach(), network.get_parameter("fc1.weight").grad.clone()))
        functional.reset_net(network)
    assert results[0][0].sum() > 0
    for spikes, gradient in results[1:]:
        assert torch.equal(spikes, results[0][0])
        assert torch.allclose(gradient, results[0][1], atol=1e-7)


def test_step_by_step_draws_one_dropout_mask():
    network = lively("cifar10-cnn", timesteps=2)
    dropped = []
    network.get_submodule("dropout").register_forward_hook(lambda module, _i, _o: dropped.append(module.mask))
    with torch.no_grad():
        models.step_by_step(network, images_for("cifar10-cnn", batch=1))
    assert len(dropped) == 2
    assert torch.equal(dropped[0], dropped[1])
    assert 0.4 < (dropped[0] == 0).float().mean() < 0.6


def test_network_starts_afresh_after_reset():
    network = lively("digits-mlp", timesteps=3)
    images = images_for("digits-mlp", batch=8)
    first = network(images)
    functional.reset_net(network)
    twin = copy.deepcopy(network)
    functional.set_step_mode(network, "m")
    assert torch.equal(network(images), first)
    assert torch.equal(twin(images), first)
    assert not torch.equal(network(images), first)  # not reset: the neurons continue from their last state


def test_timesteps_may_change():
    network = lively("digits-mlp", timesteps=2)
    short = network(images_for("digits-mlp"))
    functional.reset_net(network)
    network.timesteps = 6
    long = network(images_for("digits-mlp"))
    assert long.shape == (6, 2, 10)
    assert torch.equal(long[:2], short)


def test_bfloat16_and_channels_last():
    network = lively("lenet5", timesteps=2)
    images = images_for("lenet5").to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        spikes = network.to(memory_format=torch.channels_last)(images)
    spikes.float().mean().backward()
    assert spikes.dtype == torch.bfloat16
    assert set(spikes.float().unique().tolist()) == {0.0, 1.0}
    assert network.get_parameter("conv1.weight").grad.isfinite().all()


def test_compiles_without_breaks():
    network = lively("digits-mlp", timesteps=2)
    images = images_for("digits-mlp")
    expected = network(images)
    functional.reset_net(network)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    assert torch.equal(compiled(images), expected)
    assert expected.sum() > 0


def test_other_numbers_of_classes():
    assert models.build("lenet5", classes=47, timesteps=1)(images_for("lenet5")).shape == (1, 2, 47)
    assert models.build("vgg11", classes=100).get_parameter("fc.weight").shape == (100, 512)


def test_sizes_spell_out_a_fully_connected_network():
    torch.manual_seed(0)
    spelled = models.build("784-800-10")
    torch.manual_seed(0)
    named = models.build("mnist-mlp")
    torch.testing.assert_close(spelled.state_dict(), named.state_dict(), rtol=0, atol=0)
    images = torch.zeros(1, 1, 28, 28)
    images[..., :7, 7:14] = torch.arange(7.0)
    pooled = models.build("P7-16-5-4-3", timesteps=2, classes=3)
    assert pooled(images).shape == (2, 1, 3)
    torch.testing.assert_close(pooled.current(images)[0], 3.0 * pooled.get_parameter("fc1.weight")[:, 1])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet", {}, "unknown model 'resnet': known are cifar10-cnn, digits-mlp.*, and sizes such as 784-512-10"),
        ("784-0-10", {}, "unknown model '784-0-10'"),
        ("784-512-10", {"classes": 100}, "784-512-10 has 10 classes, not 100: use lenet5"),
        ("lenet5", {"neuron": "izhikevich"}, "unknown neuron 'izhikevich': known are lif, relu"),
        ("lenet5", {"timesteps": 0}, "timesteps must be 1 or more, found 0"),
        ("lenet5", {"classes": 1}, "classes must be 2 or more, found 1"),
        ("mnist-mlp", {"classes": 100}, "mnist-mlp has 10 classes, not 100: use lenet5, vgg11, or sizes that end"),
    ],
)
def test_refuses(name, options, message):
    with pytest.raises(InputError, match=message):
        models.build(name, **options)


def test_refuses_a_network_without_neurons():
    with pytest.raises(InputError, match="no neuron"):
        models.StaticInputNetwork({"fc": nn.Linear(2, 2)}, timesteps=1)


def test_a_neuron_of_the_users_own():
    network = models.build("digits-mlp", timesteps=3, neuron=lambda: neuron.ParametricLIFNode(step_mode="m"))
    assert [type(module).__name__ for module in network if isinstance(module, neuron.BaseNode)] == 2 * [
        "ParametricLIFNode"
    ]
    assert network(torch.rand(2, 1, 8, 8)).shape == (3, 2, 10)
