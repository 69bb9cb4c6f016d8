"""Every kind of weight that is called synapses, and parameters that `include` names."""

import copy
import pickle

import pytest
import torch
from spikingjelly.activation_based import layer, rnn
from torch import Tensor, nn
from torch.optim import SGD

from snnprune import Connectivity, Dense, InputError, find_synapses, geometry
from snnprune.budget import count_operations, wire
from snnprune.criteria import score
from snnprune.export import load_csr, restore_csr, save_csr
from snnprune.graph.sizes import with_uses
from snnprune.layout import from_columns, from_rows, to_columns, to_rows
from snnprune.paths import effective_connectivity
from snnprune.report.run import figures
from snnprune.synapses import entries_of, geometry_named, static_geometry, synapses_named


class Routed(nn.Module):
    """A linear layer, and parameters that only `include` makes synapses."""

    def __init__(self) -> None:
        super().__init__()
        self.routing = nn.Parameter(torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]]))
        self.gain = nn.Parameter(torch.ones(2))
        self.fc = nn.Linear(2, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.gain * (x @ self.routing.T))


@pytest.mark.parametrize(
    ("module", "shapes"),
    [
        (nn.MultiheadAttention(4, 2), {"in_proj_weight": (12, 4), "out_proj.weight": (4, 4)}),
        (
            nn.MultiheadAttention(4, 2, kdim=3, vdim=5),
            {
                "q_proj_weight": (4, 4),
                "k_proj_weight": (4, 3),
                "v_proj_weight": (4, 5),
                "out_proj.weight": (4, 4),
            },
        ),
        (nn.RNN(2, 3, bias=False), {"weight_ih_l0": (3, 2), "weight_hh_l0": (3, 3)}),
        (
            nn.GRU(2, 3, bidirectional=True),
            {
                "weight_ih_l0": (9, 2),
                "weight_hh_l0": (9, 3),
                "weight_ih_l0_reverse": (9, 2),
                "weight_hh_l0_reverse": (9, 3),
            },
        ),
        (nn.LSTM(2, 3, proj_size=1), {"weight_ih_l0": (12, 2), "weight_hh_l0": (12, 1), "weight_hr_l0": (1, 3)}),
        (nn.LSTMCell(2, 3), {"weight_ih": (12, 2), "weight_hh": (12, 3)}),
        (nn.GRUCell(2, 3), {"weight_ih": (9, 2), "weight_hh": (9, 3)}),
        (nn.RNNCell(2, 3), {"weight_ih": (3, 2), "weight_hh": (3, 3)}),
        (nn.Bilinear(2, 3, 4), {"weight": (4, 2, 3)}),
        (layer.DropConnectLinear(2, 3), {"weight": (3, 2)}),
        (rnn.SpikingLSTM(2, 3, 1), {"cells.0.linear_ih.weight": (12, 2), "cells.0.linear_hh.weight": (12, 3)}),
        (rnn.SpikingGRUCell(2, 3), {"linear_ih.weight": (9, 2), "linear_hh.weight": (9, 3)}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_every_kind_is_found_under_the_names_of_its_parameters(module, shapes):
    found = find_synapses(module)
    assert {name: tuple(entry.parameter.shape) for name, entry in found.items()} == shapes
    parameters = dict(module.named_parameters())
    assert all(entry.parameter is parameters[name] for name, entry in found.items())
    assert all(getattr(entry.module, entry.attribute) is entry.parameter for entry in found.values())


def test_the_rows_of_a_matrix_are_its_outputs():
    shape = geometry(nn.GRUCell(2, 3))["weight_hh"]
    assert (shape.inputs, shape.outputs, shape.fan_in, shape.fan_out) == (3, 9, 3, 9)
    assert (shape.groups, shape.kernel, shape.output_axis) == (1, (), 0)
    assert Connectivity.dense(nn.GRUCell(2, 3)).connections(geometry(nn.GRUCell(2, 3)))["weight_hh"] == (27, 27)


def test_the_inputs_of_a_bilinear_layer_are_pairs():
    module = nn.Bilinear(2, 3, 4)
    shape = geometry(module)["weight"]
    assert (shape.inputs, shape.outputs, shape.fan_in, shape.fan_out) == (6, 4, 6, 4)
    weight = torch.arange(24.0).reshape(4, 2, 3)
    assert to_rows(weight, shape).tolist() == weight.reshape(4, 6).tolist()
    assert to_columns(weight, shape).tolist() == weight.reshape(4, 6).T.tolist()
    assert torch.equal(from_rows(to_rows(weight, shape), shape, weight.shape), weight)
    assert torch.equal(from_columns(to_columns(weight, shape), shape, weight.shape), weight)


def test_a_module_of_another_kind_has_no_geometry_of_its_own():
    with pytest.raises(InputError, match="LSTM is no linear layer or convolution: pass its Synapses"):
        static_geometry(nn.LSTM(2, 3))
    assert static_geometry(nn.Linear(2, 3)).outputs == 3


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_layer_without_outputs_has_a_geometry():
    shape = static_geometry(nn.Linear(2, 0))
    assert (shape.inputs, shape.outputs) == (2, 0)


def test_excluding_a_type_takes_the_weights_that_it_holds_itself():
    network = nn.ModuleDict({"attn": nn.MultiheadAttention(4, 2), "fc": nn.Linear(4, 2)})
    assert list(find_synapses(network, exclude=nn.MultiheadAttention)) == ["attn.out_proj.weight", "fc.weight"]
    assert list(find_synapses(network, exclude="attn.*")) == ["fc.weight"]


def test_a_weight_that_is_no_plain_parameter_is_refused_unless_it_is_excluded():
    network = nn.ModuleDict({"rnn": nn.GRUCell(2, 3), "fc": nn.Linear(3, 2)})
    nn.utils.parametrizations.weight_norm(network["rnn"], "weight_hh")
    with pytest.raises(InputError, match=r"rnn\.weight_hh is not a plain parameter .* or name it in exclude"):
        find_synapses(network)
    assert list(find_synapses(network, exclude="rnn.weight_hh")) == ["rnn.weight_ih", "fc.weight"]
    kept = Connectivity.dense(network, exclude="rnn.weight_hh")
    kept.apply_(network)  # which looks at the named weights alone


# --- include


@pytest.mark.parametrize("include", ["routing", ["routing"], "rout*", Routed])
def test_include_by_name_glob_and_type_of_the_module(include):
    network = Routed()
    assert list(find_synapses(network)) == ["fc.weight"]
    found = find_synapses(network, include=include)
    assert list(found) == ["routing", "fc.weight"]
    assert found["routing"].parameter is network.routing
    assert not found["routing"].of_layer
    assert geometry(network, include=include)["routing"].fan_in == 3


def test_a_parameter_of_a_layer_that_is_not_its_weight_is_a_matrix():
    network = nn.Conv2d(2, 4, 3)
    network.register_parameter("lateral", nn.Parameter(torch.ones(4, 5)))
    found = find_synapses(network, include="lateral")
    assert [entry.of_layer for entry in found.values()] == [True, False]
    assert static_geometry(found["lateral"]).inputs == 5


def test_including_what_is_found_anyway_changes_nothing():
    assert list(find_synapses(nn.Linear(2, 2), include="weight")) == ["weight"]


def test_exclude_applies_to_what_is_included():
    assert list(find_synapses(Routed(), include="routing", exclude="fc")) == ["routing"]
    with pytest.raises(InputError, match=r"exclude takes all of routing, fc\.weight; synapses are the weights of"):
        find_synapses(Routed(), include="routing", exclude="*")


@pytest.mark.parametrize("include", ["gain", "fc.bias", "nowhere", nn.Conv2d])
def test_include_that_matches_no_matrix_lists_those_that_there_are(include):
    with pytest.raises(InputError, match=r"matches no parameter of two or more axes; the network has routing, fc\."):
        find_synapses(Routed(), include=include)


def test_include_takes_names_and_types():
    with pytest.raises(InputError, match="include takes names and module types, found an object of type Linear"):
        find_synapses(Routed(), include=[nn.Linear(2, 2)])
    with pytest.raises(InputError, match="include must be a name, a module type, or a list of these"):
        find_synapses(Routed(), include={"routing": 1})


def test_a_connectivity_of_an_included_parameter_is_applied():
    network = Routed()
    kept = Connectivity.from_network(network, include="routing", exclude="fc")
    assert kept["routing"].tolist() == [[True, False, True], [False, False, True]]
    network.routing.data.fill_(1)
    kept.apply_(network)
    assert network.routing.tolist() == [[1, 0, 1], [0, 0, 1]]
    assert Connectivity.dense(network, include="routing").prunable == 6 + 8
    with pytest.raises(InputError, match=r"do not match: fc2\.weight is .*; Routed has routing, fc\.weight"):
        Connectivity({"routing": kept["routing"], "fc2.weight": torch.ones(1, 1) > 0}).check(network)


def test_synapses_by_name_look_at_no_others():
    network = Routed()
    assert list(synapses_named(network, ["fc.weight", "routing", "gain"])) == ["routing", "fc.weight"]
    with pytest.raises(InputError, match="network must be a torch module, found str"):
        synapses_named("network", ["routing"])


def test_the_geometry_of_named_synapses_looks_at_no_others():
    network = nn.Sequential(layer.WSConv2d(1, 2, 3), nn.Conv2d(2, 3, 2), nn.Flatten(), Routed())
    with pytest.raises(InputError, match=r"0\.weight acts where it is 0"):
        geometry(network)
    shapes = geometry_named(network, ["3.routing", "1.weight"])
    assert {name: shape.fan_in for name, shape in shapes.items()} == {"1.weight": 8, "3.routing": 3}
    example = torch.ones(1, 1, 4, 3)  # the second convolution sees 2 x 1, which is too small
    with pytest.raises(InputError, match=r"does not take .* \(in 1\)"):
        with_uses(network, shapes, example)
    alone = with_uses(network[1], {"weight": shapes["1.weight"]}, torch.ones(1, 2, 3, 3))
    assert alone["weight"].uses.flatten().tolist() == [4] * 4


def test_what_is_excluded_is_not_looked_at_when_operations_are_counted():
    network = nn.Sequential(layer.WSLinear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    counted = count_operations(network, [torch.ones(1, 3)], exclude="0")
    assert list(counted.layers) == ["2.weight"]
    assert [wired.name for wired in wire(network, torch.ones(1, 3), exclude="0")] == ["2.weight"]


def test_the_map_of_a_bilinear_layer_shows_pairs(tmp_path, monkeypatch):
    network, drawn = nn.Bilinear(2, 3, 4), []
    monkeypatch.setattr(figures, "plot_connectivity", lambda mask, **_: drawn.append(tuple(mask.shape)))
    kept = Connectivity.dense(network)
    figures.plot_maps(tmp_path, kept, list(kept), image_shape=None, geometries=geometry(network))
    figures.plot_maps(tmp_path, kept, list(kept), image_shape=None, geometries=None)
    assert drawn == [(4, 6), (4, 2, 3)]


def test_the_entries_of_an_include_travel_with_those_of_an_exclude():
    entries = entries_of("fc", include=iter(["routing"]))
    assert entries == ("fc",)
    assert entries_of(entries).include == ("routing",)
    assert entries_of(entries, include="gain").include == ("routing", "gain")
    for other in (copy.deepcopy(entries), pickle.loads(pickle.dumps(entries))):
        assert (other, other.include) == (("fc",), ("routing",))
    assert list(find_synapses(Routed(), exclude=entries)) == ["routing"]


# --- Elsewhere


def test_csr_matrices_of_every_kind_come_back(tmp_path):
    torch.manual_seed(0)
    network = nn.ModuleDict({"lstm": nn.LSTM(3, 2), "pairs": nn.Bilinear(2, 3, 4), "routed": Routed()})
    kept = Connectivity.from_scores(score("random", network, include="routed.routing"), 0.5)
    kept.apply_(network)
    saved = copy.deepcopy(network.state_dict())
    save_csr(tmp_path / "net.npz", network, kept)
    matrices = load_csr(tmp_path / "net.npz")
    assert {name: matrix.shape for name, matrix in matrices.items()} == {
        "lstm.weight_ih_l0": (8, 3),
        "lstm.weight_hh_l0": (8, 2),
        "pairs.weight": (4, 6),
        "routed.routing": (2, 3),
        "routed.fc.weight": (4, 2),
    }
    with torch.no_grad():
        for entry in synapses_named(network, kept).values():
            entry.parameter.fill_(7)
    assert restore_csr(tmp_path / "net.npz", network) == kept
    assert all(torch.equal(saved[name], network.state_dict()[name]) for name in kept)


def test_a_bilinear_map_is_seen_as_a_matrix_of_pairs():
    class Pairs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pairs = nn.Bilinear(2, 3, 2)

        def forward(self, first: Tensor, second: Tensor) -> Tensor:
            return self.pairs(first, second)

    network = Pairs()
    network.pairs.weight.data[0, 1, 2] = 0
    batch = ((torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 3.0, 1.0]])), None)
    # pairs that are both not 0: 2 x 2, each with two outputs, of which one does not exist
    assert count_operations(network, [batch]).layers["pairs.weight"].per_sample.tolist() == [7]
    scores = score("wanda", network, [batch])["pairs.weight"]
    pairs = torch.tensor([[0.0, 3.0, 1.0], [0.0, 6.0, 2.0]])
    torch.testing.assert_close(scores, network.pairs.weight.detach().abs() * pairs)
    assert effective_connectivity(network, Connectivity.from_network(network), batch).nonzero == 11


def test_a_replaced_weight_of_a_recurrent_layer_is_noticed():
    network = nn.GRUCell(2, 3)
    optimizer = SGD(network.parameters(), lr=0.1)
    method = Dense(network, optimizer)
    network.weight_hh = nn.Parameter(torch.zeros(9, 3))
    network(torch.ones(1, 2)).sum().backward()
    with pytest.raises(InputError, match="the network has changed since Dense was made: weight_hh replaced"):
        optimizer.step()
    method.detach()
