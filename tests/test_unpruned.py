"""What has two axes or more and is not pruned is listed, with the reason."""

import logging

import pytest
import torch
from spikingjelly.activation_based import layer
from torch import nn
from torch.optim import SGD

from snnprune import Dense, InputError, find_synapses, unpruned


class Tokens(nn.Module):
    """A network with a parameter for each reason."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(1, 5, 4))
        self.still = nn.Parameter(torch.zeros(2, 4), requires_grad=False)
        self.gain = nn.Parameter(torch.ones(4, 1, 1))
        self.nothing = nn.Parameter(torch.ones(0, 3))
        self.words = nn.Embedding(7, 4)
        self.norm = nn.LayerNorm((5, 4))
        self.fc = nn.Linear(4, 4)
        self.turned = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
        self.standardised = layer.WSLinear(4, 2)
        self.lazy = nn.LazyLinear(3)


EXCLUDE = ["turned", "standardised", "lazy"]
OTHER = "other parameter: name it in include="


def test_every_reason_by_hand():
    left = unpruned(Tokens(), exclude=EXCLUDE)
    assert {name: tuple(entry) for name, entry in left.items()} == {
        "place": ((1, 5, 4), OTHER),
        "still": ((2, 4), "frozen"),
        "gain": ((4, 1, 1), "one value for each unit"),
        "nothing": ((0, 3), "without elements"),
        "words.weight": ((7, 4), "embedding"),
        "norm.weight": ((5, 4), "normalisation"),
        "norm.bias": ((5, 4), "normalisation"),
        "turned.parametrizations.weight.original0": ((3, 1), "parametrized"),
        "turned.parametrizations.weight.original1": ((3, 4), "parametrized"),
        "standardised.weight": ((2, 4), "excluded"),
        "standardised.gain": ((2, 1), "one value for each unit"),
    }


def test_synapses_and_the_rest_are_all_there_is():
    network = nn.ModuleDict({"a": nn.MultiheadAttention(4, 2), "b": nn.GRUCell(4, 3), "c": nn.Embedding(3, 4)})
    network["tied"] = nn.Linear(4, 3)
    network["tied"].weight = network["c"].weight
    for options in ({}, {"include": "c"}, {"exclude": ["a", "b.weight_hh"]}):
        names = {*find_synapses(network, **options), *unpruned(network, **options)}
        matrices = {name for name, parameter in network.named_parameters() if parameter.dim() >= 2}
        assert {name.replace("tied", "c") for name in names} == matrices


def test_what_is_included_is_no_longer_listed():
    assert "place" not in unpruned(Tokens(), exclude=EXCLUDE, include="place")
    assert unpruned(Tokens(), exclude=[*EXCLUDE, "place"], include="place")["place"].reason == "excluded"


def test_a_network_without_synapses_has_a_list_too():
    assert unpruned(nn.Embedding(3, 4)) == {"weight": ((3, 4), "embedding")}
    assert unpruned(nn.Linear(3, 4)) == {}


def test_wrong_arguments_are_refused():
    with pytest.raises(InputError, match="network must be a torch module, found int"):
        unpruned(3)
    with pytest.raises(InputError, match="exclude 'nowhere' matches no synapses"):
        unpruned(nn.Linear(2, 2), exclude="nowhere")
    with pytest.raises(InputError, match="include 'nowhere' matches no parameter"):
        unpruned(nn.Linear(2, 2), include="nowhere")


def test_a_method_lists_once_what_it_leaves_dense_unasked(caplog):
    network = nn.ModuleDict({"words": nn.Embedding(7, 4), "norm": nn.LayerNorm((5, 4)), "fc": nn.Linear(4, 4)})
    network["other"] = nn.Linear(4, 4)
    with caplog.at_level(logging.WARNING):
        Dense(network, SGD(network.parameters(), lr=0.1), exclude="other").detach()
        assert caplog.messages == ["Dense does not prune words.weight 7x4 (embedding)"]
        caplog.clear()
        Dense(network, SGD(network.parameters(), lr=0.1), include="words").detach()
        assert caplog.messages == []
