"""What is called effective is, on networks of which every path counts: against taking each synapse away."""

import copy

import pytest
import torch
from networks import CASES, Case
from spikingjelly.activation_based import neuron
from test_networks import outputs, sparse
from torch import Tensor, nn

from snnprune import Connectivity, dead_neurons, effective_connectivity

# Networks whose only nonlinearities are their neurons; without them no value hides another.
LINEAR = (
    "TwoIntoOne",
    "EmptiedBranch",
    "BatchFirst",
    "Tied",
    "CalledTwice",
    "Attention",
    "tokens",
    "recurrent_container",
    "elementwise_recurrent",
    "delay_and_filter",
    "StillLoop",
)


def linear(case: Case) -> nn.Module:
    """The network in float64 with its neurons taken out."""
    torch.manual_seed(0)
    network = case.make().double().eval()
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, neuron.BaseNode):
                setattr(module, name, nn.Identity())
    return network


def changes(network: nn.Module, example: Tensor, name: str, index: tuple[int, ...]) -> bool:
    """Whether an output changes when one synapse is taken away."""
    before = outputs(network, example)
    parameter = dict(network.named_parameters())[name]
    kept = parameter.data[index].clone()
    parameter.data[index] = 0
    after = outputs(network, example)
    parameter.data[index] = kept
    return any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("density", [0.15, 0.4])
@pytest.mark.parametrize("name", LINEAR)
def test_effective_are_exactly_the_synapses_that_change_an_output(name, density):
    case = CASES[name]
    network, example = linear(case), case.example().double()
    for parameter in network.parameters():  # also biases that are 0 in a fresh network
        parameter.data = torch.randn_like(parameter)
    connectivity = sparse(network, density)
    effective = effective_connectivity(network, connectivity, example)
    for layer, mask in connectivity.items():
        for index in mask.nonzero().tolist():
            place = tuple(index)
            assert bool(effective[layer][place]) == changes(network, example, layer, place), (layer, place)


def test_an_emptied_branch_leaves_what_comes_before_it_alive():
    case = CASES["EmptiedBranch"]
    network = case.make()
    masks = dict(Connectivity.dense(network))
    masks["first.weight"] = torch.zeros_like(masks["first.weight"])
    dead = dead_neurons(network, Connectivity(masks), case.example())
    assert not dead["stem.weight"].any()
    assert dead["first.weight"].all()


@pytest.mark.parametrize("name", ["NotPositive", "Normalised", "parallel_spiking_neuron", "HandWritten", "spiking_gru"])
def test_maps_that_are_not_positive_hide_nothing(name):
    case = CASES[name]
    network = case.make()
    dense = Connectivity.dense(network)
    assert effective_connectivity(network, dense, case.example()) == dense


def test_a_bias_that_makes_a_neuron_fire_counts_and_one_that_does_not_is_nothing():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 2), neuron.IFNode(), nn.Linear(2, 1))
    masks = {"0.weight": torch.zeros(2, 3, dtype=torch.bool), "2.weight": torch.ones(1, 2, dtype=torch.bool)}
    network[0].bias.data = torch.tensor([2.0, 0.5])  # above and below the threshold of 1
    effective = effective_connectivity(network, Connectivity(masks), torch.rand(1, 3))
    assert effective["2.weight"].tolist() == [[True, False]]


def test_no_depth_hides_a_path():
    network = nn.Sequential(*(nn.Sequential(nn.Linear(3, 3), nn.ReLU()) for _ in range(300)))
    dense = Connectivity.dense(network)
    assert effective_connectivity(network, dense, torch.rand(1, 3)) == dense
    half = copy.deepcopy(network).half()
    assert effective_connectivity(half, dense, torch.rand(1, 3).half()) == dense


def test_the_data_of_a_weight_is_masked_as_the_weight():
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.n, self.b = nn.Linear(2, 2), neuron.IFNode(), nn.Linear(2, 1)

        def forward(self, x: Tensor) -> Tensor:
            driven = nn.functional.linear(torch.ones_like(x) * 4, self.a.weight.data)  # the same for all inputs
            return self.b(self.n(driven)) + x.sum(1, keepdim=True)

    network = Bare()
    network.a.weight.data.fill_(1.0)
    masks = dict(Connectivity.dense(network))
    masks["a.weight"][0] = False  # without its synapses this neuron does not fire any more
    effective = effective_connectivity(network, Connectivity(masks), torch.rand(1, 2))
    assert effective["b.weight"].tolist() == [[False, True]]
