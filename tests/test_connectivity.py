import json

import pytest
import safetensors
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snnprune import Connectivity, InputError, geometry

A = torch.tensor([[True, False, True], [False, False, True]])
B = torch.tensor([True, False])


@pytest.fixture
def connectivity() -> Connectivity:
    return Connectivity({"fc1.weight": A, "fc2.weight": B})


def linear_pair() -> nn.ModuleDict:
    return nn.ModuleDict({"fc1": nn.Linear(3, 2), "fc2": nn.Linear(2, 1)})


def test_counts_by_hand(connectivity):
    assert (connectivity.nonzero, connectivity.prunable) == (4, 8)
    assert connectivity.density == 0.5
    assert connectivity.sparsity == 0.5
    assert connectivity.layers()["fc1.weight"] == {"shape": [2, 3], "prunable": 6, "nonzero": 3, "density": 0.5}


def test_the_table_by_hand():
    masks = {"fc1.weight": A, "conv.weight": torch.ones(2, 3, 20, 20, dtype=torch.bool)}
    assert Connectivity(masks).table().splitlines() == [
        "layer        shape      synapses     of   density",
        "fc1.weight   2x3               3      6   50.000%",
        "conv.weight  2x3x20x20     2,400  2,400  100.000%",
        "total                      2,403  2,406   99.875%",
    ]


def test_it_cannot_be_changed_from_outside():
    mask = A.clone()
    connectivity = Connectivity({"a": mask})
    mask.fill_(False)
    connectivity["a"].fill_(False)
    assert connectivity.nonzero == 3
    with pytest.raises(TypeError):
        connectivity["a"] = A


def test_it_is_a_mapping_with_equality(connectivity):
    assert list(connectivity) == ["fc1.weight", "fc2.weight"]
    assert connectivity == Connectivity({"fc1.weight": A, "fc2.weight": B})
    assert connectivity != Connectivity({"fc1.weight": A, "fc2.weight": ~B})
    assert connectivity != Connectivity({"fc1.weight": A})
    assert connectivity != "else"
    assert repr(connectivity) == "Connectivity(4 of 8 synapses, density 50.0000%)"


def test_from_network_reads_zeros_and_dense_does_not():
    network = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0, 0.0, -0.0], [2.0, -1.0, 1e-30]]))
    assert Connectivity.from_network(network)["weight"].tolist() == [[True, False, False], [True, True, True]]
    assert Connectivity.dense(network).density == 1


def test_from_scores_keeps_the_exact_number():
    scores = {"a": torch.tensor([0.1, 0.9, 0.5]), "b": torch.tensor([0.5, 0.2])}
    kept = Connectivity.from_scores(scores, 0.4)
    assert kept["a"].tolist() == [False, True, True]
    assert kept["b"].tolist() == [False, False]


def test_a_score_of_minus_infinity_is_taken_last():
    scores = {"a": torch.tensor([-float("inf"), -3.0, 0.0, -float("inf")])}
    assert Connectivity.from_scores(scores, 0.5)["a"].tolist() == [False, True, True, False]
    assert Connectivity.from_scores(scores, 0.75)["a"].tolist() == [True, True, True, False]


@pytest.mark.parametrize("density", [0, -0.1, 1.1, float("nan")])
def test_a_density_outside_its_range_is_refused(density):
    with pytest.raises(InputError, match=r"density must be in \(0, 1\], found"):
        Connectivity.from_scores({"a": torch.ones(2)}, density)


def test_bad_tensors_are_refused():
    with pytest.raises(InputError, match="at least one tensor of synapses"):
        Connectivity({})
    with pytest.raises(InputError, match=r"must be torch\.bool, found torch\.float32"):
        Connectivity({"a": torch.ones(2)})
    with pytest.raises(InputError, match="none were given"):
        Connectivity.from_scores({}, 0.5)
    with pytest.raises(InputError, match=r"scores of a must be floating point numbers, found torch\.float32 with nan"):
        Connectivity.from_scores({"a": torch.tensor([float("nan")])}, 0.5)
    with pytest.raises(InputError, match=r"found torch\.int64"):
        Connectivity.from_scores({"a": torch.ones(2, dtype=torch.int64)}, 0.5)


def test_save_and_load(connectivity, tmp_path):
    connectivity.save(tmp_path / "c.safetensors")
    assert Connectivity.load(tmp_path / "c.safetensors") == connectivity
    with safetensors.safe_open(tmp_path / "c.safetensors", framework="pt") as file:
        header = json.loads(file.metadata()["snnprune"])
        assert torch.equal(file.get_tensor("fc1.weight"), A)
    assert (header["kind"], header["schema"], header["version"]) == ("connectivity", 1, "0.1.0")


def test_the_order_of_the_layers_survives_a_file(tmp_path):
    layers = {f"{index}.weight": A for index in (2, 0, 10, 1)}
    Connectivity(layers).save(tmp_path / "c")
    assert list(Connectivity.load(tmp_path / "c")) == list(layers)


def test_a_weight_tied_to_an_embedding_is_found_under_its_layer():
    network = nn.ModuleDict({"embedding": nn.Embedding(3, 2), "read": nn.Linear(2, 3, bias=False)})
    network["read"].weight = network["embedding"].weight
    Connectivity({"read.weight": A.T.contiguous()}).apply_(network)
    assert (network["embedding"].weight[~A.T] == 0).all()


def test_table_counts_every_layer_and_the_total(connectivity):
    lines = connectivity.table().splitlines()
    assert lines[0].split() == ["layer", "shape", "synapses", "of", "density"]
    assert lines[1].split() == ["fc1.weight", "2x3", "3", "6", "50.000%"]
    assert lines[3].split() == ["total", "4", "8", "50.000%"]


def test_connections_expand_a_convolution_by_hand():
    # 1 x 3 x 3, kernel 2, no padding: each of the 4 entries is used at 4 positions; the linear layer's weights once.
    network = nn.Sequential(nn.Conv2d(1, 1, 2), nn.Flatten(), nn.Linear(4, 2))
    mask = torch.tensor([[[[True, False], [False, True]]]])
    connectivity = Connectivity({"0.weight": mask, "2.weight": torch.ones(2, 4, dtype=torch.bool)})
    shapes = geometry(network, torch.ones(1, 1, 3, 3))
    assert connectivity.connections(shapes) == {"0.weight": (8, 16), "2.weight": (8, 8)}
    assert connectivity.table(shapes).splitlines()[-1].split() == ["total", "10", "12", "83.333%", "16", "24"]


def test_connections_without_sizes_are_refused():
    network = nn.Conv2d(1, 1, 2)
    with pytest.raises(InputError, match=r"the connections of weight are not known: pass geometry\(network, example\)"):
        Connectivity.dense(network).connections(geometry(network))


def test_diff_by_hand(connectivity):
    later = Connectivity({"fc1.weight": torch.tensor([[True, True, False], [False, False, True]]), "fc2.weight": B})
    pruned, regrown = connectivity.diff(later)
    assert pruned["fc1.weight"].nonzero().tolist() == [[0, 2]]
    assert regrown["fc1.weight"].nonzero().tolist() == [[0, 1]]
    assert pruned["fc2.weight"].sum() == 0


def test_jaccard_by_hand(connectivity):
    later = Connectivity({"fc1.weight": torch.tensor([[True, True, False], [False, False, True]]), "fc2.weight": B})
    assert connectivity.jaccard(later) == 3 / 5
    # chance: fc1 6 * 1/4 in common of 6 * 3/4, fc2 2 * 1/4 of 2 * 3/4
    assert connectivity.jaccard_excess(later) == pytest.approx(3 / 5 - 2 / 6)
    nothing = Connectivity({"a": torch.zeros(2, dtype=torch.bool)})
    assert nothing.jaccard(nothing) == 1
    assert nothing.jaccard_excess(nothing) == 0


@settings(max_examples=20, deadline=None)
@given(densities=st.lists(st.floats(0.05, 0.95), min_size=2, max_size=2), seed=st.integers(0, 2**32))
def test_random_masks_have_no_excess(densities, seed):
    generator = torch.Generator().manual_seed(seed)
    first, second = ({"a": torch.rand(40_000, generator=generator) < p} for p in densities)
    assert abs(Connectivity(first).jaccard_excess(Connectivity(second))) < 0.02


def test_unlike_connectivities_cannot_be_compared(connectivity):
    with pytest.raises(InputError, match=r"fc2\.weight is \(2,\) in the first and absent in the second"):
        connectivity.diff(Connectivity({"fc1.weight": A}))
    with pytest.raises(InputError, match=r"extra is absent in the first and \(2, 3\) in the second"):
        Connectivity({"fc1.weight": A}).jaccard_excess(Connectivity({"fc1.weight": A, "extra": A}))


def test_apply_zeroes_absent_weights_in_place_even_infinite_ones():
    network = linear_pair()
    with torch.no_grad():
        network["fc1"].weight[0, 1] = float("inf")
    kept = Connectivity({"fc1.weight": A})
    bias = network["fc1"].bias.clone()
    kept.apply_(network)
    assert (network["fc1"].weight[~A] == 0).all()
    assert (network["fc1"].weight[A] != 0).all()
    assert torch.equal(network["fc1"].bias, bias)


def test_another_network_is_refused_and_left_alone():
    network = linear_pair()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(
        InputError, match=r"fc9\.weight is \(2, 3\) in the first and absent in the second; ModuleDict has fc1\.weight"
    ):
        Connectivity({"fc1.weight": A, "fc9.weight": A}).apply_(network)
    with pytest.raises(InputError, match=r"fc2\.weight is \(2,\) in the first and \(1, 2\) in the second"):
        Connectivity({"fc1.weight": A, "fc2.weight": B}).apply_(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_to_keeps_the_content(connectivity):
    assert connectivity.to("cpu") == connectivity
