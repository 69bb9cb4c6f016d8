"""Layers that compute with a function of their weight: those in which a weight of 0 acts are refused."""

import pytest
import torch
import torch.nn.functional as F
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from snnprune import Connectivity, InputError, find_synapses
from snnprune.synapses import acting
from snnprune.synapses.acting import zeros_act


class Standardised(nn.Linear):
    def forward(self, input):
        return F.linear(input, self.weight - self.weight.mean(1, keepdim=True), self.bias)


class Positive(layer.Linear):
    def forward(self, input):
        return F.linear(input, self.weight.exp(), self.bias)


class Kernels(nn.Conv1d):
    def _conv_forward(self, input, weight, bias):
        return super()._conv_forward(input, weight - weight.mean((1, 2), keepdim=True), bias)


class Symmetric(nn.Linear):
    def forward(self, input):
        return F.linear(input, (self.weight + self.weight.T) / 2)


class Rounded(nn.Linear):
    def forward(self, input):
        scale = self.weight.abs().max() / 7
        return F.linear(input, (self.weight / scale).round() * scale, self.bias)


class Normalised(nn.Linear):
    def forward(self, input):
        return F.linear(input, F.normalize(self.weight), self.bias)


class Residual(nn.Linear):
    def forward(self, input):
        return input + super().forward(input)


class Adapted(nn.Linear):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.down, self.up = nn.Parameter(torch.zeros(2, sizes[0])), nn.Parameter(torch.ones(sizes[1], 2))

    def forward(self, input):
        return super().forward(input) + input @ self.down.T @ self.up.T


class Spiking(layer.Linear):
    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.lif = neuron.LIFNode(step_mode=self.step_mode)

    def forward(self, input):
        return self.lif(super().forward(input))


class Probabilities(nn.Linear):
    def forward(self, input):
        return super().forward(input).softmax(-1)


class Centred(nn.Linear):
    def forward(self, input):
        return super().forward(F.layer_norm(input, input.shape[-1:]))


class Other(nn.Linear):
    def forward(self, input, *masks):
        (mask,) = masks
        return super().forward(input) * mask


class Counting(nn.Linear):
    """Notes its calls, draws random numbers, and keeps running statistics."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.calls = 0
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, input):
        self.calls += 1
        self.seen += 1
        return super().forward(input) + 0 * torch.rand(())


@pytest.mark.parametrize(
    "module",
    [
        layer.WSConv2d(4, 6, 3),
        layer.WSConv2d(4, 6, 3, padding=1, stride=2, step_mode="m"),
        layer.WSConv2d(4, 4, 3, groups=4, gain=False),
        layer.WSLinear(10, 4),
        layer.WSLinear(2000, 4).bfloat16(),
        layer.WSLinear(10, 4, step_mode="m"),
        Standardised(5, 3),
        Positive(5, 3),
        Kernels(2, 3, 3, padding=1, padding_mode="circular"),
        Symmetric(4, 4),
    ],
    ids=lambda module: type(module).__name__,
)
def test_weights_that_act_where_they_are_0_are_refused(module):
    network = nn.Sequential(module, nn.Linear(2, 2))
    match = rf"0\.weight acts where it is 0: {type(module).__name__} .*; use a plain layer, or name it in exclude"
    with pytest.raises(InputError, match=match):
        find_synapses(network)
    assert list(find_synapses(network, exclude=type(module))) == ["1.weight"]
    assert list(Connectivity.dense(network, exclude="0")) == ["1.weight"]


@pytest.mark.parametrize(
    "module",
    [
        Rounded(5, 3),
        Normalised(5, 3),
        Residual(4, 4),
        Adapted(5, 3),
        Spiking(5, 3),
        Spiking(5, 3, step_mode="m"),
        Probabilities(5, 3),
        Centred(5, 3),
        Other(5, 3),
        Counting(5, 3),
        nn.MultiheadAttention(4, 2).out_proj,
        layer.ConvTranspose2d(2, 3, 3, stride=2, output_padding=1),
    ],
    ids=lambda module: type(module).__name__,
)
def test_functions_that_leave_zeros_at_0_and_what_cannot_be_tried_are_plain(module):
    assert list(find_synapses(module)) == ["weight"]


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d])
def test_a_copy_of_a_convolution_is_tried_and_found_plain(kind):
    own = type("Own", (kind,), {"forward": lambda self, input: kind.forward(self, input)})
    module = own(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)
    assert not zeros_act(module)
    assert module in acting._zeros_act


def test_a_layer_whose_own_forward_is_replaced_is_tried():
    module = nn.Linear(4, 2)
    module.forward = lambda input: F.linear(input, module.weight - module.weight.mean())
    with pytest.raises(InputError, match=r"weight acts where it is 0: Linear"):
        find_synapses(module)


def test_a_layer_that_is_tried_is_left_as_it_was():
    module, heard = Counting(3, 2), []
    module.register_forward_hook(lambda *_: heard.append(1))
    module.eval()
    weight, random = module.weight.clone(), torch.get_rng_state()
    assert not zeros_act(module)
    assert (module.calls, float(module.seen), module.training, heard) == (0, 0.0, False, [])
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(module.weight, weight)
    module(torch.ones(1, 3))
    assert (module.calls, float(module.seen), heard) == (1, 1.0, [1])


def test_a_compiled_layer_is_tried_without_compiling():
    module = Standardised(3, 2)
    module.compile(backend=lambda *_: pytest.fail("compiled"))
    assert zeros_act(module)
    assert module._compiled_call_impl is not None


def test_the_state_of_neurons_stays():
    module = Spiking(3, 2)
    module(torch.ones(4, 3))
    state = module.lif.v.clone()
    find_synapses(module)
    assert torch.equal(module.lif.v, state)
    functional.reset_net(module)


def test_a_layer_is_tried_once(monkeypatch):
    module, tried = Rounded(3, 2), []
    monkeypatch.setattr(acting, "_try", lambda _: tried.append(1) or False)
    for _ in range(3):
        find_synapses(nn.Sequential(module, nn.Linear(2, 2)))
    assert tried == [1]
