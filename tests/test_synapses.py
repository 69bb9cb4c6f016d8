import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import layer, neuron
from torch import nn

from snnprune import InputError, find_synapses, geometry


def small_network() -> nn.Sequential:
    return nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1, bias=True),
        layer.BatchNorm2d(4),
        neuron.ParametricLIFNode(),
        layer.Flatten(),
        layer.Linear(4 * 25, 10),
    )


def test_linear_and_convolution_weights_are_found_and_nothing_else():
    network = small_network()
    found = find_synapses(network)
    assert list(found) == ["0.weight", "4.weight"]
    assert found["0.weight"].parameter is network[0].weight


def test_a_single_entry_may_be_excluded_without_a_list():
    assert list(find_synapses(small_network(), exclude="4")) == ["0.weight"]
    assert list(find_synapses(small_network(), exclude=nn.Conv2d)) == ["4.weight"]


def test_every_layer_type_is_found():
    layers = [nn.Linear(2, 2), layer.Linear(2, 2)]
    for dimension in "123":
        for prefix in ("Conv", "ConvTranspose"):
            for library in (nn, layer):
                layers.append(getattr(library, f"{prefix}{dimension}d")(2, 2, 1))
    assert len(find_synapses(nn.Sequential(*layers))) == 14


def test_a_bare_layer_is_a_network():
    assert list(find_synapses(nn.Linear(2, 3))) == ["weight"]


def test_a_shared_weight_counts_once():
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network[1].weight = network[0].weight
    assert list(find_synapses(network)) == ["0.weight"]


@pytest.mark.parametrize("exclude", ["0.weight", "0", "?.weight", nn.Conv2d, layer.Conv2d])
def test_exclude_by_name_glob_and_type(exclude):
    network = nn.Sequential(layer.Conv2d(1, 2, 3), nn.Sequential(nn.Linear(2, 2)))
    assert list(find_synapses(network, exclude=[exclude])) == ["1.0.weight"]


def test_exclude_that_matches_nothing_lists_the_synapses():
    with pytest.raises(InputError, match=r"'fc9' matches no synapses; the network has 0\.weight, 4\.weight"):
        find_synapses(small_network(), exclude=["fc9"])
    with pytest.raises(InputError, match="'Conv3d' matches no synapses"):
        find_synapses(small_network(), exclude=[nn.Conv3d])


def test_a_network_without_synapses_is_refused():
    with pytest.raises(InputError, match="Sequential has no synapses; synapses are"):
        find_synapses(nn.Sequential(nn.BatchNorm1d(3)))
    with pytest.raises(InputError, match="no synapses left: exclude takes all of weight"):
        find_synapses(nn.Linear(2, 2), exclude=["*"])


def test_parametrized_and_lazy_weights_are_refused():
    pruned = nn.Linear(2, 2)
    nn.utils.parametrizations.orthogonal(pruned)
    with pytest.raises(InputError, match="weight is not a plain parameter"):
        find_synapses(pruned)
    lazy = nn.LazyLinear(3)
    with pytest.raises(InputError, match="weight has no shape yet"):
        find_synapses(lazy)


def test_linear_geometry():
    shape = geometry(nn.Linear(5, 3))["weight"]
    assert (shape.inputs, shape.outputs, shape.fan_in, shape.fan_out) == (5, 3, 5, 3)
    assert shape.uses is not None
    assert shape.uses.tolist() == [[1]]


def test_grouped_convolution_geometry():
    shape = geometry(nn.Conv2d(4, 6, 3, groups=2))["weight"]
    assert (shape.fan_in, shape.fan_out, shape.groups, shape.output_axis) == (2 * 9, 3 * 9, 2, 0)
    assert shape.uses is None


def test_uses_by_hand_on_a_padded_convolution():
    # 1 x 5 x 5, kernel 3, padding 1: the corner entry misses one row and one column of positions.
    uses = geometry(nn.Conv2d(1, 1, 3, padding=1), torch.ones(1, 1, 5, 5))["weight"].uses
    assert uses is not None
    assert uses[0, 0].tolist() == [[16, 20, 16], [20, 25, 20], [16, 20, 16]]


def test_tracing_leaves_mode_and_neuron_state_alone():
    network = small_network()
    network[1].eval()
    before = network[1].running_mean.clone()
    shapes = geometry(network, torch.rand(2, 1, 5, 5))
    assert shapes["0.weight"].uses is not None
    assert network.training
    assert not network[1].training
    assert torch.equal(network[1].running_mean, before)
    assert network[2].v == 0.0


def test_multi_step_input_is_traced():
    network = nn.Sequential(layer.Conv2d(1, 1, 3, step_mode="m"), neuron.LIFNode(step_mode="m"))
    uses = geometry(network, torch.rand(4, 2, 1, 6, 5))["0.weight"].uses
    assert uses is not None
    assert uses.unique().tolist() == [12]


def test_a_convolution_that_does_not_run_is_named():
    network = nn.Sequential(nn.Conv1d(1, 1, 1))
    network.spare = nn.Conv1d(1, 1, 1)
    network.forward = lambda x: network[0](x)
    with pytest.raises(InputError, match=r"spare\.weight did not run"):
        geometry(network, torch.rand(1, 1, 4))


convolutions = st.fixed_dictionaries(
    {
        "kernel_size": st.integers(1, 4),
        "stride": st.integers(1, 3),
        "padding": st.integers(0, 3),
        "dilation": st.integers(1, 2),
    }
)


@settings(max_examples=60, deadline=None)
@given(options=convolutions, size=st.integers(7, 10), transposed=st.booleans())
def test_uses_equal_the_gradient_of_an_all_ones_convolution(options, size, transposed):
    # The gradient of sum(conv(1, w)) by a weight counts the positions where it meets an input.
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    module = kind(2, 3, bias=False, **options).double()
    ones = torch.ones(1, 2, size, size, dtype=torch.float64)
    output = module(ones)
    (gradient,) = torch.autograd.grad(output.sum(), module.weight)
    uses = geometry(module, ones)["weight"].uses
    assert uses is not None
    assert torch.equal(uses.expand(module.weight.shape).double(), gradient)


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel")
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [3, 4])
def test_named_padding(padding, kernel):
    module = nn.Conv1d(1, 1, kernel, padding=padding, bias=False)
    ones = torch.ones(1, 1, 9)
    (gradient,) = torch.autograd.grad(module(ones).sum(), module.weight)
    uses = geometry(module, ones)["weight"].uses
    assert uses is not None
    assert uses.flatten().tolist() == gradient.flatten().tolist()


def test_circular_padding_uses_every_entry_everywhere():
    module = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular")
    uses = geometry(module, torch.ones(1, 1, 8))["weight"].uses
    assert uses is not None
    assert uses.flatten().tolist() == [8, 8, 8]
