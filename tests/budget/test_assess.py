"""`budget.assess`: a network and inputs, no run folder."""

import json

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from snnprune import Connectivity, InputError
from snnprune.budget import assess, count_operations, find_chip, fit, wire


@pytest.fixture
def network() -> nn.Module:
    parts = layer.Linear(6, 5, bias=False), neuron.LIFNode(), layer.Linear(5, 3, bias=False), neuron.LIFNode()
    made = nn.Sequential(*parts)
    for part in made:
        part.step_mode = "m"
    Connectivity.from_scores({n: p.detach().abs() for n, p in made.named_parameters()}, 0.5).apply_(made)
    return made


BATCHES = [4 * torch.rand(3, 2, 6), 4 * torch.rand(3, 2, 6)]


def test_it_says_what_its_parts_say(network):
    kept = Connectivity.from_network(network)
    result = assess(network, BATCHES, chips=["odin"])
    operations = count_operations(network, BATCHES)
    placement = fit(wire(network, BATCHES[0]), find_chip("odin"))
    content = result.to_json()
    assert content["connectivity"]["nonzero"] == kept.nonzero
    assert content["operations"]["synaptic_operations"] == operations.synaptic_operations
    assert content["chips"]["odin"]["verdict"] == placement.verdict == "fits"
    assert result.fitting == ["odin"]
    assert json.loads(json.dumps(content)) == content
    assert content["run"]["accuracy"] is None


def test_it_can_be_printed_and_shown_in_a_notebook(network):
    result = assess(network, BATCHES[0], chips=[find_chip("odin"), "xylo-audio-3"], run={"model": "mine"})
    assert repr(result).startswith("Assessment(22 of 45 synapses, ")
    assert "odin: fits by size" in str(result)
    assert "not checked: weights rounded to 3 bits, the neuron model (LIFNode), analog inputs of 0" in str(result)
    page = result._repr_html_()
    assert page.count("<table>") == page.count("</table>") == 2
    assert "<script" not in page
    assert "fits by size" in page


def test_the_parts_can_be_shown_too(network):
    operations = count_operations(network, BATCHES)
    assert repr(operations).startswith("Operations(")
    assert "2.weight" in operations._repr_html_()
    placement = fit(wire(network, BATCHES[0]), find_chip("odin"))
    assert repr(placement) == "Placement(ODIN: fits; " + "; ".join(placement.reasons) + ")"
    assert "<table>" in placement._repr_html_()
    html = Connectivity.from_network(network)._repr_html_()
    assert html.count("<tr>") == 4
    assert "48.889%" in html


def test_all_chips_by_default_and_layers_can_be_left_out(network):
    assert len(assess(network, BATCHES[0]).to_json()["chips"]) == 14
    some = assess(network, BATCHES[0], chips="odin", exclude="2").to_json()
    assert list(some["connectivity"]["by_layer"]) == ["0.weight"]
    assert list(some["operations"]["by_layer"]) == ["0.weight"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batches": []}, "batches must hold at least one batch of inputs, found none"),
        ({"chips": ["brain"]}, "unknown chip 'brain'"),
        (
            {"connectivity": Connectivity({"0.weight": torch.ones(2, 2, dtype=torch.bool)})},
            r"0\.weight is \(2, 2\) in the first",
        ),
        ({"cost": "coins"}, "coins"),
    ],
)
def test_wrong_input_is_one_error(options, message, network):
    given = {"batches": BATCHES, **options}
    with pytest.raises(InputError, match=message):
        assess(network, given.pop("batches"), **given)
