"""Placements: never one that breaks a limit, by a slow check of every core, neuron and connection."""

import math
from collections import defaultdict
from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based.neuron import LIFNode
from torch import nn

import models
from snnprune import Connectivity, InputError, criteria
from snnprune.budget import CHIPS, find_chip
from snnprune.budget.chip import Chip, Fact
from snnprune.budget.placement.fit import fit
from snnprune.budget.placement.neurons import by_common_inputs
from snnprune.budget.placement.result import Placement
from snnprune.budget.placement.tiles import Sheet
from snnprune.budget.wiring import Source, Wired, linked, wire
from tests.graph.networks import CASES


def network(density: float = 1.0, sizes: tuple[int, ...] = (12, 9, 4), seed: int = 0) -> list[Wired]:
    torch.manual_seed(seed)
    layers = nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in pairwise(sizes)))
    kept = Connectivity.from_scores(criteria.random(layers, seed=seed), density)
    return wire(layers, torch.zeros(1, sizes[0]), connectivity=kept)


def chip(key: str = "loihi1", **limits: int) -> Chip:
    """A chip with these limits and no others."""
    known = find_chip(key)
    return replace(known, limits={name: Fact(value, "here", True) for name, value in limits.items()})


# --- The slow check


def connections(layer: Wired) -> dict[tuple[int, int, int], set[tuple[int, int, int]]]:
    """Neuron -> its inputs, one connection after another."""
    found: dict = {}
    _, rows, columns = layer.outputs
    for y in range(rows):
        for x in range(columns):
            for out in range(layer.outputs[0]):
                found[out, y, x] = set()
            for out, channel, i, j in np.argwhere(layer.kernels):
                row = y * layer.stride[0] - layer.padding[0] + i * layer.dilation[0]
                column = x * layer.stride[1] - layer.padding[1] + j * layer.dilation[1]
                if 0 <= row < layer.inputs[1] and 0 <= column < layer.inputs[2]:
                    found[out, y, x].add((int(channel), int(row), int(column)))
    return found


def cores_of(layer: Wired, placement: Placement) -> list[list[tuple[int, int, int]]]:
    """The neurons of each core."""
    cores = []
    order = placement.order.get(layer.name, range(layer.outputs[0]))
    for tile in placement.tiles:
        if tile.layer != layer.name:
            continue
        patches = [
            [(c, y, x) for c in order[tile.first : tile.last] for y in ys for x in xs]
            for ys in _pieces(layer.outputs[1], tile.block[0])
            for xs in _pieces(layer.outputs[2], tile.block[1])
        ]
        assert len(patches) == tile.patches
        cores += patches
    return cores


def _pieces(size: int, step: int) -> list[range]:
    return [range(first, min(first + step, size)) for first in range(0, size, step)]


def behind(place: tuple[int, int, int], layer: Wired, source: Source) -> list[tuple[int, int, int]]:
    """The neurons that lead to an input of a layer."""
    assert source.read is not None
    flat = ((place[0] - source.first) * layer.inputs[1] + place[1]) * layer.inputs[2] + place[2]
    c, y, x = (int(index) for index in np.unravel_index(flat, source.read))
    (top, bottom), (left, right) = source.rows[y], source.columns[x]
    c = source.channels[c] if source.channels else c
    return [(c, row, column) for row in range(top, bottom + 1) for column in range(left, right + 1)]


def check(layers: list[Wired], chip: Chip, placement: Placement) -> None:
    """Every neuron has a place, and every core keeps every limit."""
    sends: dict = defaultdict(int)  # (population, neuron) -> cores that hear it
    shapes = {layer.population: layer.outputs for layer in layers}
    for layer in linked(layers):
        inputs_of = connections(layer)
        for core in cores_of(layer, placement):
            for place in set().union(*(inputs_of[neuron] for neuron in core)):
                for source in layer.sources:
                    if source.first <= place[0] < source.last and source.population in shapes:
                        for neuron in behind(place, layer, source):
                            sends[source.population, *neuron] += 1
    loads = []  # of each tile: what each of its cores holds
    for layer in layers:
        inputs_of, cores = connections(layer), cores_of(layer, placement)
        assert sorted(neuron for core in cores for neuron in core) == sorted(inputs_of)
        assert all(len(inputs) <= (chip.limit("fan_in") or len(inputs)) for inputs in inputs_of.values())
        cores = iter(cores)
        for tile in placement.tiles:
            if tile.layer == layer.name:
                loads.append([])
                for core in islice(cores, tile.patches):
                    targets = [sends[layer.population, *neuron] for neuron in core]
                    reach = chip.limit("target_cores")
                    copies = [1 if reach is None else max(1, -(-count // reach)) for count in targets]
                    taken = {
                        "core_neurons": sum(copies),
                        "core_input_axons": len(set().union(*(inputs_of[neuron] for neuron in core))),
                        "core_output_axons": sum(targets),
                        "core_synapses": sum(c * len(inputs_of[n]) for c, n in zip(copies, core, strict=True)),
                    }
                    loads[-1].append(taken)
    together = [index for group in placement.shared for index in group]
    assert len(set(together)) == len(together)
    held = [load for index, cores in enumerate(loads) if index not in together for load in cores]
    for group in placement.shared:
        (first, *others) = (load for index in group for load in loads[index])
        held.append({name: value + sum(other[name] for other in others) for name, value in first.items()})
    for load in held:
        assert all(value <= (chip.limit(name) or value) for name, value in load.items())
    assert placement.cores == len(held)


class Residual(nn.Module):
    """A skip connection, a convolution with a stride beside one without, and three layers that hear one."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.c, self.d, self.e = nn.Conv2d(2, 3, 3, 2, 1), nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(2, 3, 1, 2)
        self.n = nn.ModuleList(LIFNode() for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.n[0](self.a(x))
        x = self.n[1](x + self.b(x))
        return self.n[3](self.d(self.n[2](self.c(x))) + self.e(x))


# Name -> network, and the shape of its inputs.
SEVERAL = {
    "residual": (Residual, (2, 1, 4, 4)),
    "recurrent": (CASES["recurrent_container"].make, (4, 3, 6)),
    "hand-written": (CASES["HandWritten"].make, (5, 3, 6)),
    "two into one": (CASES["TwoIntoOne"].make, (3, 20)),
    "emptied": (CASES["EmptiedBranch"].make, (3, 12)),
    "tokens": (CASES["tokens"].make, (4, 3, 9, 8)),
    "tied": (CASES["Tied"].make, (3, 4)),
}
LIMITS = st.fixed_dictionaries(
    {"cores": st.integers(1, 6), "core_neurons": st.integers(1, 12)},
    optional={
        "core_input_axons": st.integers(4, 30),
        "core_output_axons": st.integers(4, 40),
        "core_synapses": st.integers(8, 60),
        "fan_in": st.integers(4, 12),
        "target_cores": st.integers(1, 3),
    },
)


@settings(deadline=None, max_examples=60)
@given(LIMITS, st.floats(0.05, 1), st.integers(0, 1000))
def test_no_limit_is_broken_on_fully_connected_layers(limits, density, seed):
    layers, mine = network(density, seed=seed), chip("dynap-se2", **limits)
    placement = fit(layers, mine)
    if placement.verdict != "cannot":
        check(layers, mine, placement)
        assert (placement.verdict == "fits") == (placement.chips == 1) == (placement.cores <= limits["cores"])


class Small(nn.Sequential):
    """Two convolutions with pooling between, and a layer that hears all of them."""

    def __init__(self, *, stride: int, groups: int) -> None:
        super().__init__(
            nn.Conv2d(1, 2, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.Conv2d(2, 4, 3, padding=1, stride=stride, groups=groups, bias=False),
            nn.Flatten(),
            nn.Linear(4 * (4 // stride) ** 2, 3, bias=False),
        )


@settings(deadline=None, max_examples=40)
@given(LIMITS, st.floats(0.1, 1), st.integers(0, 1000), st.sampled_from([1, 2]), st.sampled_from([1, 2]))
def test_no_limit_is_broken_on_convolutions(limits, density, seed, stride, groups):
    torch.manual_seed(seed)
    small = Small(stride=stride, groups=groups)
    kept = Connectivity.from_scores(criteria.random(small, seed=seed), density)
    layers, mine = wire(small, torch.zeros(1, 1, 8, 8), connectivity=kept), chip("dynap-se2", **limits)
    placement = fit(layers, mine)
    assert bool(placement.cores) == (placement.verdict != "cannot")
    if placement.cores:
        check(layers, mine, placement)


@settings(deadline=None, max_examples=120)
@given(LIMITS, st.floats(0.1, 1), st.integers(0, 1000), st.sampled_from(sorted(SEVERAL)))
def test_no_limit_is_broken_by_branches_loops_and_tokens(limits, density, seed, name):
    torch.manual_seed(seed)
    made, example = SEVERAL[name]
    several = made()
    kept = Connectivity.from_scores(criteria.random(several, seed=seed), density)
    layers, mine = wire(several, torch.zeros(example), connectivity=kept), chip("dynap-se2", **limits)
    placement = fit(layers, mine)
    assert bool(placement.cores) == (placement.verdict != "cannot")
    if placement.cores:
        check(layers, mine, placement)


# --- Verdicts, by hand


def test_as_few_cores_as_a_filling_takes_with_equal_loads():
    placement = fit(network(), chip("dynap-se2", cores=4, core_neurons=4))
    assert [(tile.layer, tile.first, tile.last) for tile in placement.tiles] == [
        ("0.weight", 0, 3),
        ("0.weight", 3, 6),
        ("0.weight", 6, 9),
        ("1.weight", 0, 4),
    ]
    assert (placement.verdict, placement.cores, placement.chips) == ("fits", 4, 1)
    assert placement.by_layer == {"0": 3, "1": 1}
    assert placement.reasons == ("takes 4 of 4 cores",)
    assert placement.changes == ()


def test_more_chips_where_there_are_too_few_cores():
    placement = fit(network(), chip("dynap-se2", cores=1, core_neurons=4))
    assert (placement.verdict, placement.chips) == ("needs-more-chips", 4)
    assert placement.reasons == ("takes 4 chips: 4 of 1 cores of one",)


def test_a_neuron_with_too_many_inputs_is_named_with_what_a_cap_would_remove():
    placement = fit(network(), chip("truenorth", cores=9, core_neurons=9, fan_in=9))
    assert placement.verdict == "cannot"
    assert placement.reasons == ("neuron 0 of 0 has 12 inputs, the limit is 9",)
    assert placement.changes == ("cap the fan-in at 9: removes 18.8% of the synapses",)  # 27 of 144
    assert str(placement).startswith("TrueNorth: cannot\n- neuron 0 of 0 has 12")


def test_a_neuron_that_breaks_a_core_alone_is_named():
    placement = fit(network(), chip("loihi1", cores=9, core_neurons=9, core_input_axons=10))
    assert placement.reasons == ("neuron 0 of 0 alone takes 12 of the 10 different inputs of a core",)
    assert placement.changes == ("cap the fan-in at 10: removes 12.5% of the synapses",)


def test_a_neuron_that_must_reach_more_cores_than_it_can_is_copied():
    # 4 outputs on 2 cores, so each of the 9 hidden neurons sends to 2 cores and is there twice
    layers = network()
    mine = chip("truenorth", cores=99, core_neurons=2, target_cores=1)
    placement = fit(layers, mine)
    check(layers, mine, placement)
    assert placement.by_layer == {"0": 9, "1": 2}


def test_loihis_lists_by_hand():
    # 3 inputs with lists of 70, 64 and 1 neurons; 8-bit weights; 128 neurons or fewer want an index of 7 bits
    module = nn.Linear(3, 70, bias=False)
    mask = torch.zeros(70, 3, dtype=torch.bool)
    mask[:, 0], mask[:64, 1], mask[5, 2] = True, True, True
    layers = wire(module, torch.zeros(1, 3), connectivity=Connectivity({"weight": mask}))
    (tile,) = fit(layers, chip("loihi1", cores=1, core_neurons=128, core_synapse_bits=10_000)).tiles
    block = 1024  # 64 * 15 + 10 = 970 bits, in words of 64
    assert tile.load.synapse_bits == (block + 128) + block + 64  # 6 * 15 + 10 = 100, and 25
    assert tile.load.synapses == 135


# Two output channels of 2 x 4 neurons, with 3 + 1 and 2 + 0 taps of a kernel of 1 x 3 on two input channels.
KERNELS = np.array([[[[1, 1, 1]], [[0, 1, 0]]], [[[1, 0, 1]], [[0, 0, 0]]]], bool)
FEW_TAPS = Wired(name="w", kernels=KERNELS, inputs=(2, 2, 6), outputs=(2, 2, 4), convolution=True)


@pytest.mark.parametrize(
    ("encoding", "convolution", "bits"),
    [
        ("crossbar", "replicated", 6 * 8 * 4),  # six taps of 8 bits, at four positions
        ("crossbar", "shared", 6 * 8),
        ("padded-rows", "replicated", 2 * 5 * 32 * 4),  # as long as the longest, in words of 32 bits
        ("padded-rows", "shared", 2 * 5 * 32),
        ("blocks-of-64", "replicated", 320 + 128),  # 20 and 4 targets of 8 + 6 bits, and 10 bits more, in words of 64
        ("blocks-of-64", "shared", 4 * (128 + 64)),  # 5 and 1 of them, stored four times
    ],
)
def test_the_load_of_a_convolution_by_hand(encoding, convolution, bits):
    mine = replace(chip("loihi1"), encoding=Fact(encoding, "here", True), convolution=convolution)
    sheet = Sheet(FEW_TAPS, mine, 8, np.ones((2, 2, 4), np.int64))
    load = sheet.load(0, 2, (2, 2))
    assert load._asdict() == {
        "neurons": 2 * 4,
        "input_axons": 2 * 2 * 4,
        "output_axons": 8,
        "synapses": 6 if convolution == "shared" else 6 * 4,
        "synapse_bits": bits,
    }
    assert sheet.load(1, 2, (1, 4)).input_axons == 6  # the second input channel has no synapse there


def test_neurons_that_are_copied_count_as_often_with_their_inputs():
    targets = np.ones((2, 2, 4), np.int64)
    targets[0] = 2
    load = Sheet(FEW_TAPS, chip("truenorth", target_cores=1), 8, targets).load(0, 2, (2, 2))
    assert (load.neurons, load.output_axons) == (2 * 4 + 4, 2 * 4 + 4)
    assert load.synapses == (2 * 4 + 2) * 4


def test_the_fewest_cores_of_a_layer_by_the_number_of_its_neurons():
    sheet = Sheet(FEW_TAPS, chip("loihi1", core_neurons=5), 8, np.ones((2, 2, 4), np.int64))
    assert sheet._least((2, 2)) == 2 * 2  # two patches of 8 neurons
    assert sheet._least((1, 3)) == 4 * 2  # four of 6
    assert sheet._least((1, 1)) == 8 * 1
    assert Sheet(FEW_TAPS, chip("loihi1"), 8, np.ones((2, 2, 4), np.int64))._least((2, 2)) == 2


def test_weights_that_are_stored_with_their_zeros_take_as_many_cores_as_they_fill():
    placement = fit(network(0.2), chip("akida1000", cores=9, core_synapse_bits=100), bits=4)
    assert placement.by_layer == {"0": 5, "1": 2}  # 12 * 9 * 4 = 432 bits, and 9 * 4 * 4 = 144
    assert (placement.cores, placement.reasons) == (7, ("takes 7 of 9 cores",))


def test_fewer_bits_are_offered_where_they_save_chips():
    layers = network(sizes=(64, 64, 64))
    placement = fit(layers, chip("loihi1", cores=2, core_neurons=64, core_synapse_bits=20_000))
    assert placement.changes == ("weights of 1 bits: takes 2 chips",)


def test_a_layer_on_each_core_by_a_matching():
    class Net(nn.Sequential):
        def __init__(self, channels: int) -> None:
            super().__init__(
                nn.Conv2d(2, channels, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(channels * 16, 10)
            )

    layers = wire(Net(8), torch.zeros(1, 2, 8, 8))
    sizes = {"kernel_words": (2048, 512), "neuron_words": (16, 512), "bias_words": (64, 64)}
    mine = replace(find_chip("speck"), limits={name: Fact(value, "here", True) for name, value in sizes.items()})
    # conv: 2 * 2^(4 + 3) = 256 kernel words and 8 * 2^(3 + 3) = 512 for neurons; fc: 8 * 2^(4 + 4) = 2048 and 10
    placement = fit(layers, mine)
    assert (placement.verdict, placement.by_layer) == ("fits", {"0": 1, "3": 0})
    assert placement.reasons == ("takes 2 of 2 cores, one for each layer",)
    larger = fit(wire(Net(9), torch.zeros(1, 2, 8, 8)), mine)
    assert larger.verdict == "cannot"
    assert larger.reasons[0] == "0 takes 576 words for neuron states, the largest core has 512"
    assert larger.reasons[1] == "3 takes 2,304 words for kernels, the largest core has 2,048"
    words = "remove 2 of the 10 output channels of 3 that are in use, to halve its kernels"
    assert larger.changes == (f"{words}: removes 2.4% of the connections",)  # 2 * 144 of 9 * 18 * 64 + 10 * 144
    alone = replace(
        mine,
        limits={**mine.limits, "kernel_words": Fact((2048, 2048), "", True), "neuron_words": Fact((512, 4), "", True)},
    )
    assert fit(layers, alone).reasons == (
        "3 finds no core that is free: the 1 that it fits on are taken by other layers",
    )
    split = replace(mine, limits={**mine.limits, "neuron_words": Fact((4, 512), "", True)})
    assert "3 finds no core with enough words of all kinds at once" in fit(layers, split).reasons


def test_sizes_that_a_chip_of_layers_does_not_have():
    layers = wire(
        nn.Sequential(nn.Conv2d(1, 2, 4, stride=3), nn.Flatten(), nn.Linear(2 * 81, 20)), torch.zeros(1, 1, 28, 28)
    )
    assert fit(layers, find_chip("speck")).reasons == (
        "0 has 3 as stride of a convolution, allowed are 1, 2, 4, 8",
        "2 has 20 as classes that can be read out, the limit is 15",
    )
    assert (
        "0 has 4 as height and width of a kernel, allowed are 1, 3, 5, 7" in fit(layers, find_chip("akida1000")).reasons
    )


def test_all_on_one_core():
    layers = network(0.3, sizes=(16, 60, 8))
    placement = fit(layers, find_chip("xylo-audio-3"))
    assert (placement.verdict, placement.cores, placement.chips) == ("fits", 1, 1)
    assert placement.by_layer == {"0": 0, "1": 0}  # both on the first core
    assert "60 of 992 neurons that are not outputs" in placement.reasons[0]
    wide = fit(network(sizes=(20, 60, 8)), find_chip("xylo-audio-2"))
    assert (wide.verdict, wide.reasons) == ("cannot", ("20 inputs of the network, the limit is 16",))


def test_connections_between_hidden_layers_alone_are_recurrent():
    layers = network(sizes=(6, 5, 4, 3))
    assert fit(layers, chip("xylo-audio-3", recurrent_synapses=20)).verdict == "fits"  # 5 * 4
    assert fit(layers, chip("xylo-audio-3", recurrent_synapses=19)).verdict == "cannot"


def test_the_inputs_of_neighbouring_neurons_by_hand():
    layer = Wired(
        name="w",
        kernels=np.ones((1, 1, 3, 3), bool),
        inputs=(1, 20, 20),
        outputs=(1, 8, 9),
        stride=(2, 2),
        dilation=(2, 1),
    )
    assert layer.span(0, 1) == 5  # three taps, two apart
    assert layer.span(0, 3) == 9  # at 0, 2 and 4, and four beyond the last
    assert layer.span(1, 3) == 7
    assert layer.span(0, 9) == 20  # all that there are


def test_what_would_help_on_one_core():
    layers = network(sizes=(20, 12, 12, 4))
    limits = {"input_neurons": 16, "hidden_neurons": 23, "input_targets": 9, "output_sources": 6, "output_neurons": 4}
    assert fit(layers, chip("xylo-audio-3", **limits)).changes == (
        "bring the 20 inputs down to 16: average them, or keep a layer off the chip",
        "remove 1 of 24 hidden neurons",
        "connect outputs to 6 neurons only: removes 5.6% of the synapses",  # 6 * 4 of 20 * 12 + 12 * 12 + 12 * 4
    )
    crowded = chip("xylo-audio-3", hidden_neurons=24, mean_fan_out=6, input_targets=9)
    assert fit(layers, crowded).changes == (
        "leave 144 synapses behind the first layer: removes 11.1% of the synapses",
        "connect inputs to 9 neurons only: removes 13.9% of the synapses",
    )


def test_synapses_that_are_too_many_for_a_mean_fan_out():
    layers = network(sizes=(20, 12, 12, 4))  # 12 * 12 + 12 * 4 = 192 behind the first layer
    assert fit(layers, chip("xylo-audio-3", hidden_neurons=24, mean_fan_out=3)).changes == (
        "leave 72 synapses behind the first layer: removes 27.8% of the synapses",  # 120 of 432
    )


def test_neurons_that_are_too_many_for_a_chip():
    mine = chip("dynap-se2", cores=3, core_neurons=4)
    assert fit(network(), mine).changes == ("remove 1 of 13 neurons: one chip has 12",)
    assert fit(network(sizes=(12, 200, 4)), mine).changes == ()  # too many to remove: no change is reported


@pytest.mark.parametrize("name", CHIPS.names())
def test_every_chip_has_a_verdict_for_the_network_of_the_paper(name):
    torch.manual_seed(0)
    mnist = models.build("mnist-mlp", timesteps=1)
    sparse = Connectivity.from_scores(criteria.magnitude(mnist), 0.01)
    placement = fit(wire(mnist, torch.zeros(1, 1, 28, 28), connectivity=sparse), find_chip(name))
    assert placement.reasons
    assert (placement.verdict == "cannot") == (placement.cores == 0) == (placement.chips == 0)


@pytest.mark.parametrize("name", ["loihi1", "loihi2", "dynap-se2"])
@pytest.mark.parametrize("density", [1.0, 0.3, 0.1, 0.03])
@pytest.mark.parametrize("sizes", [(784, 800, 10), (300, 2000, 1500, 10), (784, 2048, 1024, 512, 10)])
def test_few_more_cores_than_there_must_be(sizes, density, name):
    layers, known = network(density, sizes=sizes), find_chip(name)
    placement = fit(layers, known)
    if placement.verdict == "cannot":
        assert max(layer.fan_in.max() for layer in layers) > (known.limit("fan_in") or math.inf)
        return
    # Each layer's lists, as they are cut, over the limit that they fill most: no packing takes fewer cores.
    least = 0.0
    for layer in layers:
        loads = [tile.load for tile in placement.tiles if tile.layer == layer.name]
        limits = {key: known.limit(f"core_{key}") for key in loads[0]._fields}
        least += max(sum(getattr(load, key) for load in loads) / limit for key, limit in limits.items() if limit)
    assert placement.cores <= max(math.ceil(1.1 * least), math.ceil(least) + 1)


def test_what_is_left_over_shares_a_core():
    mine = chip("dynap-se2", cores=4, core_neurons=8)
    placement = fit(network(), mine)  # 9 neurons, and 4
    assert [tile.load.neurons for tile in placement.tiles] == [5, 4, 4]  # 60 connections, and 48 + 36
    assert placement.shared == ((1, 2),)
    assert (placement.cores, placement.by_layer) == (2, {"0": 2, "1": 1})
    one_layer = replace(mine, limits=mine.limits | {"core_layers": Fact(1, "here", True)})
    alone = fit(network(), one_layer)
    assert (alone.cores, alone.shared) == (3, ())


def test_a_core_that_is_shared_has_longer_indices():
    # 4 lists of 60 entries of 8 + 6 bits and 60 lists of 10; for 70 neurons an index has 7 bits.
    layers = network(sizes=(4, 60, 10))
    alone = 4 * 64 * math.ceil((60 * 14 + 10) / 64) + 60 * 64 * math.ceil((10 * 14 + 10) / 64)
    together = 4 * 64 * math.ceil((60 * 15 + 10) / 64) + 60 * 64 * math.ceil((10 * 15 + 10) / 64)
    assert alone < together
    assert fit(layers, chip("loihi1", core_synapse_bits=together)).cores == 1
    assert fit(layers, chip("loihi1", core_synapse_bits=together - 1)).cores == 2


def test_neurons_with_common_inputs_share_cores_that_have_few():
    (layer,) = network(sizes=(6, 4))
    layer.kernels[:] = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]] * 2, bool)[:, :, None, None]
    placement = fit([layer], chip("dynap-se2", cores=4, core_neurons=4, core_input_axons=3))
    assert placement.order == {"0.weight": (0, 2, 1, 3)}
    assert [(tile.first, tile.last) for tile in placement.tiles] == [(0, 2), (2, 4)]
    assert fit([layer], chip("dynap-se2", cores=4, core_neurons=4, core_input_axons=6)).order == {}


def test_the_order_in_which_neurons_fill_cores_by_hand():
    inputs = [[0, 1, 2], [3], [4, 5, 6], [0, 1]]
    kernels = np.array([[index in heard for index in range(7)] for heard in inputs])[:, :, None, None]
    assert by_common_inputs(kernels, axons=None, neurons=None).tolist() == [0, 3, 1, 2]  # by the fewest new inputs
    assert by_common_inputs(kernels, axons=3, neurons=None).tolist() == [0, 3, 2, 1]  # 3 + 1 would be too many
    assert by_common_inputs(kernels, axons=4, neurons=None).tolist() == [0, 3, 1, 2]
    assert by_common_inputs(kernels, axons=None, neurons=1).tolist() == [0, 2, 3, 1]  # by the most inputs
    assert by_common_inputs(kernels, axons=7, neurons=2).tolist() == [0, 3, 2, 1]


def test_errors_of_placements():
    with pytest.raises(InputError, match="Loihi 1 has weights of 1, 2, 3, 4, 5, 6, 8 bits, not of 7"):
        fit(network(), find_chip("loihi1"), bits=7)
    with pytest.raises(
        InputError, match=r"weight \(from input to output\) is a transposed map .* no chip here can be described for it"
    ):
        wire(nn.ConvTranspose2d(1, 1, 3), torch.zeros(1, 1, 4, 4))
    assert wire(nn.Conv2d(1, 1, 3, padding="same"), torch.zeros(1, 1, 4, 4))[0].padding == (1, 1)
    circular = nn.Sequential(nn.Conv1d(1, 4, 1), nn.Conv1d(4, 2, 3, padding=1, padding_mode="circular"))
    with pytest.raises(
        InputError, match=r"1\.weight .* reads 24 values of 0:out, which has 16 neurons: they are padded"
    ):
        wire(circular, torch.zeros(2, 1, 4))

    class Idle(nn.Sequential):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return self[0](input)

    with pytest.raises(InputError, match=r"1\.weight did not run on the example"):
        wire(Idle(nn.Linear(2, 2), nn.Linear(2, 2)), torch.zeros(1, 2))
    assert wire(nn.Conv1d(2, 3, 5, padding=2), torch.zeros(1, 2, 9))[0].outputs == (3, 1, 9)


def test_neurons_that_are_left_out_send_nowhere():
    class Odd(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(4, 6, bias=False), nn.Linear(5, 3, bias=False))

        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return self[1](self[0](input)[:, :5])

    placement = fit(wire(Odd(), torch.zeros(1, 4)), chip("loihi1", cores=9, core_neurons=1))
    assert [tile.load.output_axons for tile in placement.tiles[:6]] == [3] * 5 + [0]


def test_pooling_that_is_not_known_counts_as_the_worst():
    kernels = (np.ones((6, 4, 1, 1), bool), np.ones((3, 5, 1, 1), bool))
    layers = [
        Wired(name="a", kernels=kernels[0], inputs=(4, 1, 1), outputs=(6, 1, 1)),
        Wired(name="b", kernels=kernels[1], inputs=(5, 1, 1), outputs=(3, 1, 1)),
    ]
    placement = fit(layers, chip("loihi1", cores=9, core_neurons=1))
    assert [tile.load.output_axons for tile in placement.tiles[:6]] == [3] * 6
