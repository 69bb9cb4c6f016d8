"""Populations on chips: every connection of small networks, listed by plain loops, is in `wire`."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import layer, neuron
from torch import Tensor, nn

from snnprune import Connectivity, InputError, criteria, geometry
from snnprune.budget import CHIPS, assess, find_chip, fit, to_chip, wire
from snnprune.budget.chip import Chip, Fact
from snnprune.budget.wiring import Wired, linked
from tests.graph.networks import CASES, HandWritten, Tied, TwoIntoOne, multi, spikes

# (source population, unit) -> (target population, unit), with how often: units are counted in the order (C, H, W).
Edges = Counter[tuple[str, int, str, int]]


def sparse(network: nn.Module, density: float = 0.5, seed: int = 0) -> nn.Module:
    Connectivity.from_scores(criteria.random(network, seed=seed), density).apply_(network)
    return network


def edges_of(layers: list[Wired]) -> Edges:
    """All connections that a wiring holds, one after another."""
    found: Edges = Counter()
    for one in layers:
        _, height, width = one.outputs
        for source in one.sources:
            shape = source.shape or one.inputs
            read = source.read or (source.last - source.first, *one.inputs[1:])
            mine = one.kernels[:, source.first : source.last]
            for out, channel, i, j in np.argwhere(mine):
                for y in range(height):
                    for x in range(width):
                        row = y * one.stride[0] - one.padding[0] + i * one.dilation[0]
                        column = x * one.stride[1] - one.padding[1] + j * one.dilation[1]
                        if not (0 <= row < one.inputs[1] and 0 <= column < one.inputs[2]):
                            continue
                        unit = (int(out) * height + y) * width + x
                        place = (int(channel) * one.inputs[1] + row) * one.inputs[2] + column
                        c, rest = divmod(place, read[1] * read[2])
                        row, column = divmod(rest, read[2])
                        c = source.channels[c] if source.channels else c
                        rows, columns = (source.rows or ((row, row),) * (row + 1))[row], (column, column)
                        columns = source.columns[column] if source.columns else columns
                        for r in range(rows[0], rows[1] + 1):
                            for s in range(columns[0], columns[1] + 1):
                                at = (c * shape[1] + r) * shape[2] + s
                                found[source.population, at, one.population, unit] += 1
    return found


def matrix(found: Edges, weight: Tensor, source: str, target: str, *, positions: int = 1) -> None:
    """Add the connections of a matrix; units of tokens are counted feature by feature."""
    for out, inner in weight.nonzero().tolist():
        for p in range(positions):
            found[source, inner * positions + p, target, out * positions + p] += 1


def convolution(found: Edges, weight: Tensor, source: str, target: str, size: int, *, stride: int = 1) -> None:
    """Add the connections of a convolution on a square map, with half its kernel as padding."""
    made = (size + 2 * (weight.shape[2] // 2) - weight.shape[2]) // stride + 1
    for out, inner, i, j in weight.nonzero().tolist():
        for y in range(made):
            for x in range(made):
                row, column = y * stride + i - weight.shape[2] // 2, x * stride + j - weight.shape[3] // 2
                if 0 <= row < size and 0 <= column < size:
                    found[source, (inner * size + row) * size + column, target, (out * made + y) * made + x] += 1


# --- Against lists of connections


def test_two_projections_into_one_population():
    network = sparse(TwoIntoOne())
    expected: Edges = Counter()
    matrix(expected, network.a.weight, "input", "n")
    matrix(expected, network.b.weight, "input", "n")
    matrix(expected, network.c.weight, "n", "output")
    layers = wire(network, torch.rand(3, 20))
    assert edges_of(layers) == expected
    assert [one.name for one in layers] == ["a.weight + b.weight", "c.weight"]
    assert layers[0].parts == {"a.weight": [slice(0, 20)], "b.weight": [slice(20, 40)]}
    assert layers[0].fan_in.tolist() == (network.a.weight != 0).sum(1).add((network.b.weight != 0).sum(1)).tolist()


def test_a_recurrent_layer_has_axons_of_its_own_and_a_delay():
    network = sparse(HandWritten())
    expected: Edges = Counter()
    matrix(expected, network.f.weight, "input", "gt")
    matrix(expected, network.r.weight, "gt", "gt")
    matrix(expected, network.o.weight, "gt", "output")
    layers = wire(network, torch.rand(5, 3, 6))
    assert edges_of(layers) == expected
    assert [(source.population, source.delay) for source in layers[0].sources] == [("input", 0), ("gt", 1)]
    placement = fit(layers, find_chip("loihi1"))
    assert any("delays of one time step" in text for text in placement.assumptions)


def test_the_recurrent_container_of_spikingjelly():
    network = multi(layer.Linear(6, 5), layer.LinearRecurrentContainer(spikes(), 5, 5), layer.Linear(5, 3), spikes())
    sparse(network)
    expected: Edges = Counter()
    matrix(expected, network[0].weight, "input", "0:out")
    matrix(expected, network[1].rc.weight[:, :5], "0:out", "1.sub_module")
    matrix(expected, network[1].rc.weight[:, 5:], "1.sub_module", "1.sub_module")
    matrix(expected, network[2].weight, "1.sub_module", "3")
    layers = wire(network, torch.rand(4, 3, 6))
    assert edges_of(layers) == expected
    assert [one.virtual for one in layers] == [True, False, False]
    xylo = fit(layers, replace(find_chip("xylo-audio-3"), limits={"recurrent_synapses": Fact(1, "here", True)}))
    inner = int((network[1].rc.weight != 0).sum())
    assert xylo.reasons == (f"{inner:,} synapses between hidden neurons, the limit is 1",)


def test_tokens_are_neurons_that_share_weights():
    network = sparse(multi(layer.Linear(8, 6), spikes(), layer.Linear(6, 4), spikes()))
    expected: Edges = Counter()
    matrix(expected, network[0].weight, "input", "1", positions=9)
    matrix(expected, network[2].weight, "1", "3", positions=9)
    layers = wire(network, torch.rand(4, 3, 9, 8))
    assert edges_of(layers) == expected
    assert [(one.neurons, one.convolution) for one in layers] == [(54, True), (36, True)]


def test_the_tokens_of_a_vision_transformer_take_more_than_a_chip():
    network = multi(layer.Linear(64, 192), spikes())
    (one,) = wire(network, torch.rand(1, 2, 4096, 64))
    assert one.neurons == 786_432
    assert fit([one], find_chip("loihi1")).verdict == "needs-more-chips"


def test_tied_weights_cost_what_their_uses_cost():
    network = sparse(Tied())
    expected: Edges = Counter()
    matrix(expected, network.a.weight, "input", "n")
    matrix(expected, network.a.weight, "n", "k")
    layers = wire(network, torch.rand(3, 4))
    assert edges_of(layers) == expected
    twice = sum(tile.load.synapses for tile in fit(layers, find_chip("dynap-se2")).tiles)
    assert twice == 2 * int((network.a.weight != 0).sum())


class Residual(nn.Module):
    """A block with a shortcut: a skip, a convolution with a stride beside one with none, or sums of spikes."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        stride = 2 if kind == "downsampled" else 1
        self.stem, self.first = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, stride=stride, padding=1)
        self.second, self.head = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 3, 1)
        if kind == "downsampled":
            self.shortcut = nn.Conv2d(2, 2, 1, stride=2)
        self.n = nn.ModuleList(spikes() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.n[0](self.stem(x))
        y = self.second(self.n[1](self.first(x)))
        if self.kind == "spikes":
            return self.head(x + self.n[2](y))
        return self.head(self.n[2](y + (self.shortcut(x) if self.kind == "downsampled" else x)))


@pytest.mark.parametrize("kind", ["spikes", "skip", "downsampled"])
def test_residual_blocks(kind):
    network = sparse(Residual(kind))
    expected: Edges = Counter()
    small = 3 if kind == "downsampled" else 5
    convolution(expected, network.stem.weight, "input", "n.0", 5)
    convolution(expected, network.first.weight, "n.0", "n.1", 5, stride=2 if small == 3 else 1)
    convolution(expected, network.second.weight, "n.1", "n.2", small)
    convolution(expected, network.head.weight, "n.2", "output", small)
    if kind == "spikes":
        convolution(expected, network.head.weight, "n.0", "output", 5)
    elif kind == "skip":
        for unit in range(50):
            expected["n.0", unit, "n.2", unit] += 1
    else:
        convolution(expected, network.shortcut.weight, "n.0", "n.2", 5, stride=2)
    layers = wire(network, torch.rand(3, 1, 5, 5))
    assert edges_of(layers) == expected
    unused = fit(layers, find_chip("speck"))
    assert unused.verdict == "cannot"
    assert "is a chain, each layer after one other" in unused.reasons[0]


class Shuffled(nn.Module):
    """Concatenates maps, and exchanges and pools channels before it reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 3, 1), nn.Conv2d(5, 2, 1, bias=False)
        self.d, self.n = nn.Linear(8, 2), nn.ModuleList(spikes() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([self.n[1](self.b(x)), self.n[0](self.a(x)).flip(1)], 1)
        return self.d(nn.functional.max_pool2d(self.n[2](self.c(y)), 3, 2, 1).flatten(1))


def test_concatenated_exchanged_and_pooled_maps():
    network = sparse(Shuffled(), 0.6)
    expected: Edges = Counter()
    convolution(expected, network.a.weight, "input", "n.0", 4)
    convolution(expected, network.b.weight, "input", "n.1", 4)
    convolution(expected, network.c.weight[:, :3], "n.1", "n.2", 4)
    convolution(expected, network.c.weight[:, 3:].flip(1), "n.0", "n.2", 4)
    for out, inner in network.d.weight.nonzero().tolist():
        channel, y, x = inner // 4, inner % 4 // 2, inner % 2
        for row in range(max(0, 2 * y - 1), 2 * y + 2):
            for column in range(max(0, 2 * x - 1), 2 * x + 2):
                expected["n.2", (channel * 4 + row) * 4 + column, "output", out] += 1
    assert edges_of(wire(network, torch.rand(3, 1, 4, 4))) == expected


class Pooled(nn.Module):
    """Overlapping windows, in a sum and in a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 1, 1)
        self.n = nn.ModuleList(spikes() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.n[0](self.a(x)), 3, 2, 1)
        return self.c(x + self.n[1](x + self.b(x)))


def test_windows_that_overlap_in_a_sum_and_in_a_skip_connection():
    network = sparse(Pooled())
    expected: Edges = Counter()
    convolution(expected, network.a.weight, "input", "n.0", 5)
    pooled: Edges = Counter()
    convolution(pooled, network.b.weight, "n.0", "n.1", 3)
    convolution(pooled, network.c.weight, "n.0", "output", 3)
    pooled.update({("n.0", unit, "n.1", unit): 1 for unit in range(18)})
    for (source, unit, target, at), count in pooled.items():
        channel, y, x = unit // 9, unit % 9 // 3, unit % 3
        for row in range(max(0, 2 * y - 1), min(5, 2 * y + 2)):
            for column in range(max(0, 2 * x - 1), min(5, 2 * x + 2)):
                expected[source, (channel * 5 + row) * 5 + column, target, at] += count
    convolution(expected, network.c.weight, "n.1", "output", 3)
    assert edges_of(wire(network, torch.rand(3, 1, 5, 5))) == expected


class Split(nn.Module):
    """Three parts of one tensor of weights, each with neurons of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.o = nn.Linear(4, 12, bias=False), nn.Linear(4, 2, bias=False)
        self.n = nn.ModuleList(spikes() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(self.n, self.qkv.weight.chunk(3), strict=True)
        q, k, v = (n(torch.einsum("oi,bi->bo", part, x)) for n, part in parts)
        return self.o(q + k + v)


def test_the_parts_of_a_split_tensor():
    network = sparse(Split())
    expected: Edges = Counter()
    for number, part in enumerate(network.qkv.weight.chunk(3)):
        matrix(expected, part, "input", f"n.{number}")
        matrix(expected, network.o.weight, f"n.{number}", "output")
    assert edges_of(wire(network, torch.rand(3, 4))) == expected


# --- Verdicts


def limited(key: str, **limits: int) -> Chip:
    return replace(find_chip(key), limits={name: Fact(value, "here", True) for name, value in limits.items()})


def test_two_hundred_inputs_of_two_layers_are_four_hundred():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.n = nn.Linear(200, 10), nn.Linear(200, 10), spikes()

        def forward(self, x: Tensor) -> Tensor:
            return self.n(self.a(x) + self.b(1 - x))

    layers = wire(Two(), torch.rand(2, 200))
    placement = fit(layers, find_chip("truenorth"))
    assert placement.verdict == "cannot"
    assert placement.reasons == ("neuron 0 of a + b has 400 inputs, the limit is 256",)
    assert placement.changes == ("cap the fan-in at 256: removes 36.0% of the synapses",)  # 144 of 400
    scores = {name: torch.rand_like(weight) for name, weight in Two().named_parameters() if weight.dim() > 1}
    kept = to_chip(layers, find_chip("truenorth"), density=1.0)(scores, 1.0, geometry(Two()))
    assert (kept["a.weight"].sum(1) + kept["b.weight"].sum(1)).tolist() == [256] * 10
    assert fit(wire(Two(), torch.rand(2, 200), connectivity=kept), find_chip("truenorth")).verdict == "fits"


def test_the_targets_of_a_neuron_are_those_in_all_layers_that_read_it():
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 5), nn.Linear(5, 6), nn.Linear(5, 7)
            self.n = nn.ModuleList(spikes() for _ in range(3))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            x = self.n[0](self.a(x))
            return self.n[1](self.b(x)), self.n[2](self.c(x))

    layers = wire(Fork(), torch.rand(3, 4))
    assert fit(layers, limited("tianjic", cores=9, core_neurons=9, fan_out=13)).verdict == "fits"
    placement = fit(layers, limited("tianjic", cores=9, core_neurons=9, fan_out=12))
    assert placement.reasons == ("neuron 0 of a has 13 targets, the limit is 12",)
    one = fit(layers, limited("tianjic", cores=99, core_neurons=2))
    assert {tile.load.output_axons for tile in one.tiles if tile.layer == "a.weight"} == {7, 14}  # 3 and 4 cores each


def test_what_cannot_be_described_is_refused_with_its_populations():
    class Strides(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.n = nn.Conv2d(1, 2, 3, 2, 1), nn.Conv2d(1, 2, 3, padding=1), spikes()

        def forward(self, x: Tensor) -> Tensor:
            return self.n(self.a(x) + self.b(x[..., ::2, ::2]))

    with pytest.raises(
        InputError, match=r"a\.weight \(from input to n\) and b\.weight have different strides, .* give"
    ):
        wire(Strides(), torch.rand(2, 1, 4, 4))
    for name, words in {
        "sew_resnet18_and": "product of values of neurons, as a gate does",
        "Attention": "multiplies values of neurons with each other",
        "qkformer_small": "values are pooled or divided before they reach them",
        "spiking_gru": "values are pooled or divided before they reach them",
    }.items():
        with pytest.raises(InputError, match=words):
            wire(CASES[name].make(), CASES[name].example())


def test_a_network_that_cannot_be_described_has_a_cost_and_a_reason_for_each_chip():
    content = assess(CASES["Attention"].make(), CASES["Attention"].example(), chips=["loihi1", "odin"]).to_json()
    assert content["operations"]["multiply_accumulates"] > 0
    for chip in content["chips"].values():
        assert (chip["verdict"], chip["cores_load"]) == ("cannot", None)
        assert chip["reasons"][0].startswith("network.bmm (from n.0, n.1 to network.bmm:out) multiplies")
        assert "products of values of neurons (network.bmm, network.bmm#2)" in chip["not_checked"]


# Gates, attention, values that are pooled before they reach neurons, transposed and three-dimensional convolutions.
REFUSED = {
    *("sew_resnet18_and", "sew_resnet18_iand", "masnn_small", "maxformer_small", "qkformer_small", "spikformer_small"),
    *("spike_driven_small", "ottt_vgg11", "geometry_of_every_kind", "one_dimension", "three_dimensions", "Attention"),
    *("transformer", "spiking_gru", "spiking_lstm"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * name.startswith(("sew_", "spiking_res"))) for name in CASES]
)
def test_every_network_is_placed_on_every_chip_or_refused_by_name(name):
    case = CASES[name]
    layout = case.layout if case.given else None
    if name in REFUSED:
        with pytest.raises(InputError, match="so that no chip here can be described for it"):
            wire(case.make(), case.example(), layout=layout)
        return
    layers = wire(case.make(), case.example(), layout=layout)
    for key in CHIPS.names():
        chip = find_chip(key)
        placement = fit(layers, chip)
        assert placement.reasons
        assert (placement.verdict == "cannot") == (placement.cores == 0)
        for tile in placement.tiles:
            for field, value in tile.load._asdict().items():
                assert value <= (chip.limit(f"core_{field}") or value)
        if fan_in := chip.limit("fan_in"):
            most = max(int(one.fan_in.max()) for one in layers)
            assert (most > fan_in) <= (placement.verdict == "cannot")


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(2, 30), min_size=2, max_size=4),
    st.floats(0.05, 1),
    st.booleans(),
    st.sampled_from(CHIPS.names()),
    st.integers(0, 99),
)
def test_a_change_removes_a_share_of_what_is_there(sizes, density, maps, key, seed):
    torch.manual_seed(seed)
    parts: list[nn.Module] = [nn.Conv2d(1, sizes[0], 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)] if maps else []
    parts += [nn.Flatten(), nn.Linear(sizes[0] * 16 if maps else 64, sizes[1])]
    for a, b in pairwise(sizes[1:]):
        parts += [nn.ReLU(), nn.Linear(a, b)]
    layers = wire(sparse(nn.Sequential(*parts), density, seed), torch.rand(2, 1, 8, 8))
    tight = {
        name: Fact(max(1, fact.value // 40), "", True)
        for name, fact in find_chip(key).limits.items()
        if isinstance(fact.value, int)
    }
    for chip in (find_chip(key), replace(find_chip(key), limits={**find_chip(key).limits, **tight})):
        for change in fit(layers, chip).changes:
            if "removes" in change:
                assert 0 <= float(change.split("removes ")[1].split("%")[0]) <= 100


# --- The busiest core


def test_the_load_of_each_core_by_hand():
    network = nn.Sequential(nn.Linear(4, 6, bias=False), neuron.LIFNode(v_threshold=0.1), nn.Linear(6, 2, bias=False))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1.0)
    chip = limited("dynap-se2", cores=9, core_neurons=4, core_layers=1)
    content = assess(network, torch.ones(3, 4), chips=[chip]).to_json()["chips"]["dynap-se2"]
    load = content["cores_load"]
    # 24 operations on cores of 3 neurons each; of the two outputs 12, each hears 6 spikes.
    assert load["synaptic_operations"] == {"max": 12.0, "mean": 12.0, "total": 36.0}
    assert load["spikes_received"] == {"max": 6.0, "mean": pytest.approx(14 / 3), "total": 14.0}
    assert load["imbalance"] == 1.0
    assert content["cores"] == 3
    assert load["text"].startswith("busiest of 3 cores: 12 operations a time step, 1.0 times the mean")


def test_hand_made_layers_follow_each_other():
    layers = [
        Wired(name="a", kernels=np.ones((6, 4, 1, 1), bool), inputs=(4, 1, 1), outputs=(6, 1, 1)),
        Wired(name="b", kernels=np.ones((3, 6, 1, 1), bool), inputs=(6, 1, 1), outputs=(3, 1, 1)),
    ]
    (source,) = linked(layers)[1].sources
    assert (source.population, source.read, source.rows) == ("a", (6, 1, 1), ((0, 0),))
    assert layers[1].parts == {"b": [slice(0, 6)]}
