"""Synaptic operations against hand-computed cases and a slow, independent count."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

import models
from snnprune import Connectivity, InputError
from snnprune.budget import count_operations


def linear(weight: list[list[float]]) -> nn.Linear:
    module = nn.Linear(len(weight[0]), len(weight), bias=False)
    module.weight.data = torch.tensor(weight)
    return module


def test_each_spike_meets_the_synapses_that_leave_it():
    network = linear([[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]])
    operations = count_operations(network, [torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])])
    found = operations.layers["weight"]
    assert found.per_sample.tolist() == [2, 3]
    assert (operations.synaptic_operations, operations.multiply_accumulates) == (2.5, 0)
    assert (found.events, found.if_dense, found.spiking, found.static) == (2, 4, True, False)


def test_analog_inputs_are_multiplied():
    operations = count_operations(linear([[1.0, 2.0]]), [torch.tensor([[0.5, 0.0]]), torch.tensor([[1.0, -1.0]])])
    assert (operations.synaptic_operations, operations.multiply_accumulates) == (0, 1.5)


def test_a_negative_spike_is_subtracted():
    assert count_operations(linear([[1.0, 2.0]]), [torch.tensor([[1.0, -1.0]])]).synaptic_operations == 2


LAYERS = {
    "linear": (lambda: nn.Linear(6, 4), (6,)),
    "conv1d": (lambda: nn.Conv1d(2, 3, 3, stride=2, padding=1), (2, 7)),
    "conv2d": (lambda: nn.Conv2d(2, 4, 3, padding=1, groups=2), (2, 5, 4)),
    "conv2d-same": (lambda: nn.Conv2d(2, 3, (3, 2), padding="same", dilation=2, bias=False), (2, 6, 5)),
    "conv2d-circular": (lambda: nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), (1, 4, 4)),
    "conv3d": (lambda: nn.Conv3d(1, 2, 2), (1, 3, 3, 3)),
    "transposed": (lambda: nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1), (2, 3, 3)),
}


def spikes(shape: tuple[int, ...], seed: int, rate: float = 0.4) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


@pytest.mark.parametrize("name", LAYERS)
def test_it_is_the_layer_itself_run_on_ones(name):
    make, shape = LAYERS[name]
    module = make()
    module.weight.data *= spikes(module.weight.shape, 1, 0.5)
    inputs = spikes((5, *shape), 2)
    ones = make()
    ones.weight.data = (module.weight != 0).float()
    if ones.bias is not None:
        ones.bias.data.zero_()
    expected = ones(inputs).flatten(1).sum(1)
    found = count_operations(nn.Sequential(module, nn.Flatten()), [inputs]).layers["0.weight"]
    assert found.per_sample.tolist() == expected.tolist()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), rate=st.floats(0, 1))
def test_two_halves_of_the_synapses_do_the_work_of_all(seed, rate):
    network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten())
    inputs = [spikes((4, 2, 5, 5), seed, rate)]
    half = torch.rand((3, 2, 3, 3), generator=torch.Generator().manual_seed(seed + 1)) < 0.5
    counts = [
        count_operations(network, inputs, connectivity=Connectivity({"0.weight": mask})).layers["0.weight"].per_sample
        for mask in (half, ~half, half | ~half)
    ]
    assert torch.equal(counts[0] + counts[1], counts[2])


def test_pruning_half_at_random_halves_the_count_in_expectation():
    module, inputs = nn.Linear(20, 30), [spikes((8, 20), 0)]
    whole = count_operations(module, inputs).synaptic_operations
    found = [
        count_operations(
            module,
            inputs,
            connectivity=Connectivity(
                {"weight": torch.rand(30, 20, generator=torch.Generator().manual_seed(seed)) < 0.5}
            ),
        ).synaptic_operations
        for seed in range(200)
    ]
    assert sum(found) / 200 == pytest.approx(whole / 2, rel=0.01)


def spiking_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        layer.Conv2d(1, 3, 3, padding=1, bias=False),
        neuron.IFNode(v_threshold=0.3),
        layer.MaxPool2d(2),
        layer.Flatten(),
        layer.Linear(27, 5),
        neuron.IFNode(v_threshold=0.2),
    )


def test_many_steps_at_once_count_as_one_after_another():
    network, images = spiking_network(), spikes((4, 2, 1, 6, 6), 0)
    functional.set_step_mode(network, "m")
    at_once = count_operations(network, [images])

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = network

        def forward(self, images: Tensor) -> Tensor:
            return torch.stack([self.steps(image) for image in images])

    functional.set_step_mode(network, "s")
    one_by_one = count_operations(Loop(), [images])
    assert at_once.timesteps == one_by_one.timesteps == 4
    for here, there in zip(at_once.layers.values(), one_by_one.layers.values(), strict=True):
        assert torch.equal(here.per_sample, there.per_sample)
        assert torch.equal(here.per_step, there.per_step)
        assert here.per_step.sum().item() == pytest.approx(here.mean)
    assert at_once.layers["4.weight"].spiking


def test_the_layer_before_the_first_neuron_is_computed_once_or_at_each_step():
    network, images = models.build("mnist-mlp", timesteps=3), torch.randn(4, 1, 28, 28)
    once, each = (count_operations(network, [images], static=static) for static in ("once", "each-step"))
    assert once.timesteps == 3
    assert once.layers["fc1.weight"].static
    assert not once.layers["fc2.weight"].static
    assert once.multiply_accumulates == 784 * 800
    assert each.multiply_accumulates == 3 * 784 * 800
    assert each.synaptic_operations == once.synaptic_operations
    assert each.layers["fc1.weight"].per_step.tolist() == [784 * 800] * 3


def test_average_pooling_makes_inputs_analog_and_a_sum_of_spikes_too():
    network = nn.Sequential(nn.AvgPool1d(2), nn.Flatten(), nn.Linear(2, 3))
    assert count_operations(network, [torch.tensor([[[1.0, 0.0, 0.0, 0.0]]])]).multiply_accumulates == 3
    assert count_operations(linear([[1.0]]), [torch.tensor([[2.0]])]).multiply_accumulates == 1


def test_the_network_is_left_as_it_was():
    network = spiking_network().train()
    functional.set_step_mode(network, "m")
    network(spikes((4, 2, 1, 6, 6), 5))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    potential = network[1].v.clone()
    count_operations(network, [spikes((4, 2, 1, 6, 6), 0)])
    assert network.training
    assert torch.equal(network[1].v, potential)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_errors_of_counting():
    with pytest.raises(InputError, match="weight did not run: pass batches"):
        count_operations(linear([[1.0]]), [])

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.fc(inputs.repeat(3, 1)[:5])[:2]

    with pytest.raises(InputError, match=r"samples mix before fc\.weight"):
        count_operations(Mixed(), [torch.ones(2, 2)])
    network = spiking_network()
    functional.set_step_mode(network, "m")
    with pytest.raises(InputError, match=r"ran for \[4, 2\] time steps"):
        count_operations(network, [spikes((4, 2, 1, 6, 6), 0), spikes((2, 2, 1, 6, 6), 0)])
    with pytest.raises(InputError, match=r"0\.weight"):
        count_operations(
            network, [spikes((4, 2, 1, 6, 6), 0)], connectivity=Connectivity({"0.weight": torch.ones(2) > 0})
        )
