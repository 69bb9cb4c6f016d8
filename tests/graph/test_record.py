"""Graphs of small networks, written out by hand; and every input that is refused."""

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
import torch
from networks import CASES, multi, spikes
from spikingjelly.activation_based import layer, neuron
from torch import Tensor, nn

from snnprune import Connectivity, InputError, criteria, effective_connectivity, geometry
from snnprune.budget import count_operations
from snnprune.graph import Graph, record, save_picture, to_svg
from snnprune.graph.record import recorded_graph


def of(name: str) -> Graph:
    return record(CASES[name].make(), CASES[name].example())


def units(graph: Graph) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (population.kind, population.shape) for name, population in graph.populations.items()}


def links(graph: Graph) -> list[tuple[str, tuple[str, ...], str, int]]:
    return [(p.name, p.sources, p.target, p.delay) for p in graph.projections]


def test_two_projections_lead_into_one_population():
    graph = of("TwoIntoOne")
    assert units(graph) == {"input": ("input", (20,)), "n": ("neuron", (7,)), "output": ("output", (3,))}
    assert links(graph) == [
        ("a.weight", ("input",), "n", 0),
        ("b.weight", ("input",), "n", 0),
        ("c.weight", ("n",), "output", 0),
    ]
    assert graph.into("n")[1].between == ("rsub",)


def test_a_recurrent_container_reads_itself_one_step_later():
    graph = of("recurrent_container")
    recurrent = graph.into("1.sub_module")[0]
    assert (recurrent.sources, recurrent.delays, recurrent.inputs) == (("0:out", "1.sub_module"), (0, 1), (10,))
    assert units(graph)["0:out"] == ("virtual", (5,))
    assert graph.timesteps == 4


def test_neurons_of_ones_own_are_populations_and_recurrent():
    graph = of("HandWritten")
    assert units(graph) == {"input": ("input", (6,)), "gt": ("comparison", (8,)), "output": ("output", (3,))}
    assert ("r.weight", ("gt",), "gt", 1) in links(graph)
    assert graph.outputs == ("output",)


def test_tokens_are_positions_that_share_weights():
    graph = of("tokens")
    assert units(graph)["1"] == ("neuron", (9, 6))
    assert graph.populations["1"].size == 54
    assert (graph.projections[0].inputs, graph.projections[0].positions, graph.projections[0].steps) == ((8, 9), 9, 4)


def test_tied_weights_and_second_calls_are_projections_of_their_own():
    assert [name for name, *_ in links(of("Tied"))] == ["a.weight", "a.weight#2"]
    called = of("CalledTwice")
    assert links(called) == [("a.weight", ("input",), "n", 0), ("a.weight#2", ("n",), "k", 0)]
    assert called.timesteps == 5


def test_convolutions_have_their_geometry_and_what_lies_between():
    graph = of("geometry_of_every_kind")
    first, second, transposed, head = graph.projections
    assert (first.groups, first.padding, first.inputs, first.outputs) == (2, (1, 1), (2, 8, 8), (4, 8, 8))
    assert (second.stride, second.dilation, second.between) == ((2, 1), (1, 2), ("max_pool2d",))
    assert transposed.operation == "transposed"
    assert (head.inputs, head.between) == ((12,), ("adaptive_avg_pool2d",))


def test_a_residual_sum_is_a_connection_without_weights():
    class Shortcut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.n, self.k = nn.Linear(3, 3), nn.Linear(3, 3), spikes(), spikes()

        def forward(self, x: Tensor) -> Tensor:
            x = self.n(self.a(x))
            return self.k(x + self.b(x))

    graph = record(Shortcut(), torch.rand(2, 3))
    skip = graph.projections[-1]
    assert (skip.operation, skip.parameter, skip.sources, skip.target) == ("identity", None, ("n",), "k")


def test_a_layer_that_is_not_called_is_named():
    network = nn.Sequential(nn.Linear(3, 2))
    network.register_module("spare", nn.Identity())
    network.spare.fc = nn.Linear(2, 2)
    graph = record(network, torch.rand(2, 3))
    assert graph.unused == ("spare.fc.weight",)
    assert "not used: spare.fc.weight" in str(graph)


def test_an_operator_without_a_rule_is_named_and_hides_nothing():
    class Strange(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(torch.fft.rfft(self.a(x)).real)

    network, inputs = Strange(), torch.rand(2, 4)
    with pytest.raises(InputError, match="samples mix in _fft_r2c in the network"):
        count_operations(network, [inputs])
    graph = recorded_graph(network, inputs, mixed=True).graph
    assert graph.opaque == ("_fft_r2c in Strange",)
    assert "not known, everything through it counts as connected: _fft_r2c in Strange" in str(graph)
    masks = dict(Connectivity.dense(network))
    masks["a.weight"][1:] = False
    assert effective_connectivity(network, Connectivity(masks), inputs) == Connectivity(masks)


def test_a_decision_on_a_value_is_said_and_a_count_that_finds_another_branch_is_refused():
    class Deciding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x)) if bool(x.sum() > 0) else self.a(x)

    assert "decides on values" in record(Deciding(), torch.ones(2, 3)).notes[0]
    with pytest.raises(InputError, match="computes other operators on this batch than on its first run"):
        count_operations(Deciding(), [torch.ones(2, 3), -torch.ones(2, 3)])


class Partly(nn.Module):
    """One of two paths leaves torch."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) + self.fc(torch.from_numpy(x.detach().numpy() + 1))


def test_values_that_leave_torch_are_named_and_constants_are_not():
    class Detour(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.table = nn.Linear(3, 3), nn.Linear(3, 2), [1.0, 2.0, 3.0]

        def forward(self, x: Tensor) -> Tensor:
            y = self.a(x) * torch.tensor(self.table)
            return self.b(torch.from_numpy(y.numpy())) if self.table[0] == 0 else self.b(y)

    network = Detour()
    assert [p.name for p in record(network, torch.rand(2, 3)).projections] == ["a.weight", "b.weight"]
    network.table[0] = 0.0
    with pytest.raises(InputError, match="values leave torch in"):
        record(network, torch.rand(2, 3))
    network.table[0], network.b = 1.0, Partly()
    with pytest.raises(InputError, match="values leave torch in b, through NumPy"):
        record(network, torch.rand(2, 3))


def test_a_potential_that_is_read_afterwards_belongs_to_its_neuron():
    class Reading(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.n, self.b = nn.Linear(3, 4), spikes(), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            s = self.n(self.a(x))
            return s, {"read": self.b(self.n.v)}

    graph = record(Reading(), torch.rand(2, 3))
    assert links(graph) == [("a.weight", ("input",), "n", 0), ("b.weight", ("n",), "output1", 0)]


def test_a_state_that_a_network_keeps_in_an_attribute_is_put_back():
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.last = nn.Linear(3, 2), None

        def forward(self, x: Tensor) -> Tensor:
            y = self.a(x) if self.last is None else self.a(x) + self.last
            self.last = y
            return y

    network = Keeping()
    counts = count_operations(network, [torch.ones(2, 3), torch.ones(5, 3)])
    assert counts.samples == 7
    assert network.last is None


def test_inputs_of_different_lengths_tell_the_axis_of_the_samples():
    class Cross(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attend = nn.MultiheadAttention(8, 2, batch_first=True, kdim=5, vdim=5)

        def forward(self, query: Tensor, keys: Tensor) -> Tensor:
            return self.attend(query, keys, keys)[0]

    graph = record(Cross(), ((torch.rand(3, 4, 8), torch.rand(3, 6, 5)), None))
    assert graph.layout == ("B", "B")
    assert {p.parameter for p in graph.projections if p.parameter} == {
        f"attend.{name}" for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight")
    }


@pytest.mark.parametrize(
    "wrap", [torch.compile, nn.DataParallel, lambda network: torch.optim.swa_utils.AveragedModel(network)]
)
def test_wrappers_change_no_name(wrap):
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert links(record(wrap(network), torch.rand(2, 3))) == links(record(network, torch.rand(2, 3)))


def test_the_data_of_a_weight_is_that_weight():
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.linear(x, self.a.weight.data)

    assert [p.parameter for p in record(Bare(), torch.rand(2, 3)).projections] == ["a.weight"]


# --- Axes


def test_labels_decide_where_the_network_treats_two_axes_alike():
    network, inputs = nn.Linear(4, 3), torch.rand(5, 6, 4)
    with pytest.raises(InputError, match=r"treats the first two axes of \[5, 6, 4\] alike; pass layout='B'"):
        record(network, inputs)
    assert record(network, (inputs, torch.zeros(5, dtype=torch.long))).layout == ("B",)
    assert record(network, inputs, "TB").layout == ("TB",)
    counts = count_operations(network, [torch.ones(5, 6, 4)], layout="TB")
    assert (counts.samples, counts.timesteps, counts.layers["weight"].mean) == (6, 5, 60)


def test_several_inputs_have_a_layout_each():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 2), nn.Linear(4, 2)

        def forward(self, first: Tensor, second: Tensor) -> Tensor:
            return self.a(first) + self.b(second)

    pair, network = (torch.ones(5, 3), torch.ones(5, 4)), Two()
    for example in ((pair, None), {"first": pair[0], "second": pair[1]}):
        assert record(network, example).layout == ("B", "B")
    assert list(record(network, (pair, None)).populations) == ["input0", "input1", "output"]
    assert count_operations(network, [(pair, torch.zeros(5))]).layers["b.weight"].per_sample.tolist() == [8] * 5
    named = record(network, {"first": pair[0], "second": pair[1]}, {"first": "B", "second": "B"})
    assert named.layout == ("B", "B")
    shared = record(network, {"first": pair[0], "second": torch.ones(1, 4)}, ("B", ""))
    assert shared.layout == ("B", "")


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("BT", "layout BT does not fit Sequential: samples mix in LIFNode in 1"),
        ("XB", "layout must be 'B', 'TB' or 'BT', or one for each input, found 'XB'"),
        (3, "layout must be 'B', 'TB' or 'BT', or one for each input, found 3"),
        (("TB", "TB"), r"layout must name the axes of 1 inputs"),
    ],
)
def test_a_wrong_layout_is_refused(layout: Any, message: str):
    with pytest.raises(InputError, match=message):
        record(CASES["tokens"].make(), CASES["tokens"].example(), layout)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (torch.rand(2, 4), r"Sequential does not take inputs \[2, 4\], torch.float32 \(in 0\): mat1 and mat2"),
        (torch.rand(0, 3), "must hold samples, found one of shape"),
        (torch.tensor(1.0), r"must hold samples, found one of shape \[\]"),
        ("text", "each batch must be a tensor of inputs or a pair"),
        ({}, "each batch must be a tensor of inputs or a pair"),
        ([torch.rand(2, 3), None, None], r"found \(Tensor, NoneType, NoneType\)"),
    ],
)
def test_an_example_of_no_use_is_named(example: Any, message: str):
    network = nn.Sequential(nn.Linear(3, 2))
    for look in (record, geometry):
        with pytest.raises(InputError, match=message):
            look(network, example)


def test_a_network_without_values_is_refused():
    with pytest.raises(InputError, match="meta"):
        record(nn.Linear(3, 2, device="meta"), torch.rand(1, 3))
    norm = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, device="meta"))
    with pytest.raises(InputError, match=r'the network has no values \(device "meta"\): call network\.to_empty'):
        record(norm, torch.rand(2, 3))


def test_weights_that_act_through_a_function_are_refused_unless_they_are_excluded():
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            weight = self.a.weight - self.a.weight.mean()
            return self.b(nn.functional.linear(x, weight))

    with pytest.raises(InputError, match=r"a\.weight acts through a function of it in the network"):
        record(Normed(), torch.rand(2, 3))
    graph = record(Normed(), torch.rand(2, 3), exclude="a")
    assert [p.parameter for p in graph.projections] == [None, "b.weight"]


@pytest.mark.parametrize("name", ["expand", "repeat", "stack"])
def test_a_still_input_that_is_repeated_for_every_step_has_an_axis_of_time(name):
    class Repeated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.n = nn.Linear(4, 3), neuron.LIFNode(step_mode="m")

        def forward(self, x: Tensor) -> Tensor:
            ways = {
                "expand": lambda: x.expand(5, -1, -1),
                "repeat": lambda: x.repeat(5, 1, 1),
                "stack": lambda: torch.stack([x] * 5),
            }
            return self.n(self.a(ways[name]())).mean(0)

    graph = record(Repeated(), torch.rand(2, 4))
    assert (graph.layout, graph.timesteps, graph.projections[0].steps, graph.projections[0].positions) == (
        ("B",),
        5,
        5,
        1,
    )
    counts = count_operations(Repeated(), [torch.ones(2, 4)]).layers["a.weight"]
    assert counts.per_step.tolist() == [12] * 5
    assert not counts.static


# --- Counts


def test_padding_counts_as_nothing():
    network = multi(layer.Linear(2, 3, bias=False), neuron.IFNode(v_threshold=0.1), layer.Linear(3, 2))
    network[0].weight.data.fill_(1.0)
    batch = torch.ones(4, 2, 2)
    found = count_operations(network, [batch], lengths=[[4, 2]])
    assert found.layers["0.weight"].per_sample.tolist() == [24, 12]
    assert found.layers["2.weight"].per_sample.tolist() == [24, 12]
    longer = count_operations(network, [batch, torch.ones(6, 2, 2)], lengths=[[4, 2], [6, 1]])
    assert longer.layers["0.weight"].per_sample.tolist() == [24, 12, 36, 6]


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([], "found fewer of them than batches"),
        ([[4, 4], [4, 4]], "found more of them than batches"),
        ([[4, 5]], r"from 1 to 4, found \[4, 5\]"),
        ([[0, 4]], r"from 1 to 4, found \[0, 4\]"),
        ([[0.5, 4.0]], "lengths must be whole numbers"),
        ([3], "lengths must be whole numbers"),
        (["ab"], "lengths must be whole numbers .*, found 'ab'"),
        (4, "lengths must be a list with the lengths of each batch, found 4"),
    ],
)
def test_lengths_of_no_use_are_named(lengths: list, message: str):
    network = multi(layer.Linear(2, 3), neuron.IFNode())
    with pytest.raises(InputError, match=message):
        count_operations(network, [torch.ones(4, 2, 2)], lengths=lengths)


def test_products_and_kinds_of_inputs_are_named_apart():
    case = CASES["Attention"]
    found = count_operations(case.make(), [case.example()])
    assert list(found.products) == ["network.bmm", "network.bmm#2"]
    assert found.layers["q.weight"].inputs == "analog"
    sums = multi(nn.Identity(), layer.Linear(2, 2))
    assert count_operations(sums, [torch.full((3, 1, 2), 2.0)]).layers["1.weight"].inputs == "integer"
    assert count_operations(sums, [torch.ones(3, 1, 2)]).layers["1.weight"].inputs == "binary"


def test_excluded_layers_are_not_asked_about():
    network = nn.Sequential(nn.Linear(3, 3), nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), nn.Linear(3, 2))
    inputs = torch.ones(2, 3)
    assert list(count_operations(network, [inputs], exclude="1").layers) == ["0.weight", "2.weight"]
    assert list(criteria.wanda(network, [inputs], exclude="1")) == ["0.weight", "2.weight"]
    kept = Connectivity.dense(network, exclude="1")

    assert effective_connectivity(network, kept, inputs) == kept


# --- Pictures


@pytest.mark.parametrize("name", ["recurrent_container", "spikformer_small", "ms_resnet_small", "HandWritten"])
def test_a_picture_shows_every_population_and_every_projection(name):
    graph = of(name)
    root = ElementTree.fromstring(to_svg(graph))
    space = "{http://www.w3.org/2000/svg}"
    boxes = [one for one in root.iter(f"{space}rect") if one.get("rx")]
    arrows = [one for one in root.iter(f"{space}path") if one.get("marker-end")]
    assert len(boxes) == len(graph.populations)
    assert len(arrows) == sum(len(p.sources) for p in graph.projections)
    width, height = float(root.get("width") or 0), float(root.get("height") or 0)
    for box in boxes:
        assert float(box.get("x") or 0) + float(box.get("width") or 0) <= width
        assert float(box.get("y") or 0) + float(box.get("height") or 0) <= height


def test_a_picture_is_an_svg_file(tmp_path):
    graph = of("Tied")
    path = save_picture(graph, tmp_path / "graph.svg")
    assert path.read_text() == to_svg(graph)
    with pytest.raises(InputError, match=r"is an \.svg file, found .*graph\.png"):
        save_picture(graph, tmp_path / "graph.png")
    assert "populations" in repr(graph)
    assert "<table>" in graph._repr_html_()


def test_a_picture_tells_kinds_of_boxes_and_arrows_apart():
    svg = to_svg(of("recurrent_container"))
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    boxes = [one for one in root.iter(f"{space}rect") if one.get("rx")]
    assert [one.get("stroke-dasharray") for one in boxes] == [None, "4 3", None, None]  # the second is virtual
    arrows = [one for one in root.iter(f"{space}path") if one.get("marker-end")]
    back = [one for one in arrows if "back" in (one.get("class") or "")]
    assert len(back) == 1
    left = min(float(one.get("x") or 0) for one in boxes)
    labels = {one.text: one for one in root.iter(f"{space}text")}
    label = labels["1.rc, delay 1"]
    assert label.get("text-anchor") == "end"
    assert 6 * len("1.rc, delay 1") <= float(label.get("x") or 0) < left


def test_arcs_that_pass_the_same_box_are_apart():
    root = ElementTree.fromstring(to_svg(of("spikformer_small")))
    arcs = []
    for one in root.iter("{http://www.w3.org/2000/svg}path"):
        if (found := re.fullmatch(r"M(\d+) (\d+)C(\d+) .*V(\d+)C.* (\d+)", one.get("d") or "")) is not None:
            edge, start, out, _, end = map(int, found.groups())
            assert out > edge
            arcs.append((out, start, end))
    assert len(arcs) >= 6
    for number, (out, start, end) in enumerate(arcs):
        for other, first, last in arcs[:number]:
            if first < end - 30 and last > start + 30:  # they pass the same rows
                assert out != other
