"""`budget.assess`: a network and inputs, no run folder."""

import json
import re
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from snnprune import Connectivity, InputError, budget
from snnprune.budget import assess, count_operations, find_chip, fit, wire
from snnprune.report import save_page

CHIPS = Path(budget.__file__).parent / "chips"


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
    assert page.count("<table>") == page.count("</table>") == 3
    assert "the same spikes, all synapses" in page
    assert "<script" not in page
    assert "fits by size" in page


def sides(html: str) -> list[str]:
    """To which side each column of each table is aligned, by the initials; heads and cells alike."""
    found = []
    for table in html.split("</table>")[:-1]:
        rows = [re.findall(r"<t([hd]) style='text-align:(l|r)", row) for row in table.split("</tr>")[:-1]]
        assert [kind for row in rows for kind, _ in row] == ["h"] * len(rows[0]) + ["d"] * len(rows[0]) * (
            len(rows) - 1
        )
        (sides,) = {"".join(side for _, side in row) for row in rows}
        found.append(sides)
    return found


def test_words_are_to_the_left_and_numbers_to_the_right(network):
    result = assess(network, BATCHES[0], chips=["odin", "speck"])
    assert sides(result._repr_html_()) == ["llrrrrrl", "lr", "llllll"]
    assert sides(fit(wire(network, BATCHES[0]), find_chip("odin"))._repr_html_()) == ["llll"]
    assert sides(Connectivity.from_network(network)._repr_html_()) == ["llrrr"]


def test_the_parts_can_be_shown_too(network):
    operations = count_operations(network, BATCHES)
    assert repr(operations).startswith("Operations(")
    assert "2.weight" in operations._repr_html_()
    placement = fit(wire(network, BATCHES[0]), find_chip("odin"))
    assert repr(placement) == "Placement(ODIN: fits by size; " + "; ".join(placement.reasons) + ")"
    assert "<table>" in placement._repr_html_()
    html = Connectivity.from_network(network)._repr_html_()
    assert html.count("<tr>") == 4
    assert "48.889%" in html


def test_all_chips_by_default_and_layers_can_be_left_out(network):
    assert len(assess(network, BATCHES[0]).to_json()["chips"]) == 14
    some = assess(network, BATCHES[0], chips="odin", exclude="2").to_json()
    assert list(some["connectivity"]["by_layer"]) == ["0.weight"]
    assert list(some["operations"]["by_layer"]) == ["0.weight"]


def test_what_it_holds_cannot_be_changed(network):
    result = assess(network, BATCHES[0], chips="odin", run={"accuracy": 0.5})
    result.to_json()["run"]["accuracy"] = 1
    assert result.to_json()["run"]["accuracy"] == 0.5
    with pytest.raises(FrozenInstanceError):
        result.text = ""  # type: ignore[misc]


def test_batches_may_be_a_generator_that_is_read_once(network):
    listed = assess(network, BATCHES, chips="odin")
    assert assess(network, ((batch, torch.zeros(2)) for batch in BATCHES), chips="odin") == listed
    assert listed.to_json()["operations"]["samples"] == 4


def test_a_connectivity_of_some_layers_counts_the_others_as_dense(network):
    some = {"0.weight": torch.eye(5, 6, dtype=torch.bool)}
    part = assess(network, BATCHES, connectivity=Connectivity(some), chips="odin").to_json()
    rest = {**some, "2.weight": torch.ones(3, 5, dtype=torch.bool)}
    whole = assess(network, BATCHES, connectivity=Connectivity(rest), chips="odin").to_json()
    assert part["connectivity"]["prunable"] == 30
    assert whole["connectivity"]["prunable"] == 45
    assert part["energy"] == whole["energy"]
    assert part["chips"] == whole["chips"]
    # layers that are excluded are left out of a connectivity, too
    without = assess(network, BATCHES, connectivity=Connectivity(rest), exclude="2", chips="odin").to_json()
    assert list(without["connectivity"]["by_layer"]) == list(without["operations"]["by_layer"]) == ["0.weight"]


def test_what_is_not_pruned_is_listed_with_the_reason(network, tmp_path):
    network.register_parameter("place", nn.Parameter(torch.zeros(2, 6)))
    some = Connectivity({"0.weight": torch.eye(5, 6, dtype=torch.bool)})
    result = assess(network, BATCHES, connectivity=some, chips="odin")
    assert result.to_json()["not_pruned"] == [
        {"name": "2.weight", "shape": [3, 5], "reason": "not in the connectivity"},
        {"name": "place", "shape": [2, 6], "reason": "other parameter: name it in include="},
    ]
    line = "not pruned: 2.weight 3x5 (not in the connectivity), place 2x6 (other parameter: name it in include=)"
    assert line in str(result).splitlines()
    assert f"<p>{line}</p>" in result._repr_html_()
    save_page(result, tmp_path / "page.html")
    assert "<h3>Not pruned</h3>" in (tmp_path / "page.html").read_text()
    excluded = assess(network, BATCHES, exclude="2", chips="odin").to_json()["not_pruned"]
    assert [entry["reason"] for entry in excluded] == ["other parameter: name it in include=", "excluded"]


def test_nothing_is_listed_where_all_is_pruned(network, tmp_path):
    result = assess(network, BATCHES, chips="odin")
    assert result.to_json()["not_pruned"] == []
    assert "not pruned" not in str(result)
    save_page(result, tmp_path / "page.html")
    assert "Not pruned" not in (tmp_path / "page.html").read_text()


def test_parameters_that_are_included_or_in_the_connectivity_are_not_counted_in_silence(network):
    network.register_parameter("place", nn.Parameter(torch.zeros(2, 6)))
    kept = Connectivity.dense(network, include="place")
    for options in ({"connectivity": kept}, {"include": "place"}):
        with pytest.raises(InputError, match=r"place did not run on the example"):
            assess(network, BATCHES, chips="odin", **options)
    left = assess(network, BATCHES, connectivity=kept, exclude="place", chips="odin").to_json()["not_pruned"]
    assert [entry["reason"] for entry in left] == ["excluded"]


def test_normalisation_is_named_by_whether_it_can_be_folded(tmp_path):
    norms = nn.Sequential(nn.BatchNorm1d(6), nn.LayerNorm(6), nn.Linear(6, 3))
    (tmp_path / "mine.toml").write_text((CHIPS / "odin.toml").read_text())
    chips = assess(norms, torch.rand(2, 6), chips=[tmp_path / "mine.toml"]).to_json()["chips"]
    assert list(chips) == [str(tmp_path / "mine.toml")]
    assert chips[str(tmp_path / "mine.toml")]["not_checked"] == [
        "weights rounded to 3 bits",
        "the neuron model (none found)",
        "normalisation folded into weights (BatchNorm1d)",
        "normalisation at run time (LayerNorm)",
        "analog inputs of 2",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batches": []}, "batches must hold at least one batch of inputs, found none"),
        ({"batches": torch.rand(3, 0, 6)}, r"every batch must hold samples, found one of shape \[3, 0, 6\]"),
        ({"batches": torch.rand(3, 2, 7)}, r"Sequential does not take inputs \[3, 2, 7\]"),
        ({"static": "never"}, "static must be 'once' or 'each-step', found 'never'"),
        ({"run": {"accuracy": "high"}}, r"accuracy of the run must be in \[0, 1\], found 'high'"),
        ({"run": {"dense_accuracy": 98}}, r"dense_accuracy of the run must be in \[0, 1\], found 98"),
        (
            {"connectivity": Connectivity({"2.weight": torch.ones(3, 5) > 0}), "exclude": "2"},
            "exclude takes all layers",
        ),
        ({"chips": [3]}, "unknown chip 3"),
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
