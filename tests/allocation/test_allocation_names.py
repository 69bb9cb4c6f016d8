import math
from functools import partial

import pytest
import torch
from torch import nn

from snnprune import Connectivity, InputError
from snnprune.allocation import ALLOCATIONS, fan_in_cap, fan_out_cap, find, global_ranking, limits, n_of_m, per_layer
from snnprune.synapses import static_geometry

SCORES = {"a": torch.arange(8.0).view(2, 4), "b": -torch.arange(4.0).view(1, 4)}
GEOMETRIES = {"a": static_geometry(nn.Linear(4, 2)), "b": static_geometry(nn.Linear(4, 1))}
NEED_GEOMETRY = ["er", "erk", "rows", "kernels", "filters", "2:4", "fan-in=2", "fan-out=2"]
EVERY = [*ALLOCATIONS, "2:4", "fan-in=2", "fan-out=2", {"a": 0.5, "b": 0.5}]


def test_a_function_is_an_allocation_too():
    own = partial(global_ranking)
    assert find(own) is own
    assert find("global") is global_ranking


def test_patterns_carry_their_numbers():
    scores = {"w": torch.rand(12, 24)}
    shape = {"w": static_geometry(nn.Linear(24, 12))}
    assert find("10:12")(scores, 1.0, shape) == n_of_m(scores, None, shape, n=10, m=12)
    assert find("fan-in=11")(scores, 0.4, shape) == fan_in_cap(scores, 0.4, shape, cap=11)
    assert find("fan-out=7")(scores, 0.4, shape) == fan_out_cap(scores, 0.4, shape, cap=7)


def test_densities_by_hand_do_not_look_at_the_density_and_cannot_be_changed_afterwards():
    densities = {"a": 0.25, "b": 1.0}
    allocate = find(densities)
    densities["a"] = 0.5
    for density in (0.01, 1.0):
        assert [int(mask.sum()) for mask in allocate(SCORES, density, GEOMETRIES).values()] == [2, 4]


@pytest.mark.parametrize("name", ["nothing", "2:", "2:4:8", "fan-in", "fan-on=3", "fan-in=-1", ""])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(InputError, match=r"unknown allocation '.*': known are er, erk, .*, N:M .*fan-in=N"):
        find(name)


@pytest.mark.parametrize("allocation", EVERY, ids=str)
def test_the_scores_are_left_alone_and_may_need_gradients(allocation):
    scores = {name: score.clone().requires_grad_() for name, score in SCORES.items()}
    kept = find(allocation)(scores, 0.5, GEOMETRIES)
    assert isinstance(kept, Connectivity)
    assert list(kept) == ["a", "b"]
    assert all(torch.equal(score, SCORES[name]) for name, score in scores.items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("allocation", EVERY, ids=str)
def test_the_precision_of_the_scores_does_not_matter(allocation, dtype):
    plain = find(allocation)(SCORES, 0.5, GEOMETRIES)
    assert find(allocation)({name: score.to(dtype) for name, score in SCORES.items()}, 0.5, GEOMETRIES) == plain


@pytest.mark.parametrize("allocation", EVERY[:-1])
def test_everything_is_kept_at_density_1_as_far_as_the_limit_goes(allocation):
    kept = find(allocation)(SCORES, 1.0, GEOMETRIES)
    assert kept.density == (0.5 if allocation in ("2:4", "fan-in=2") else 1)


@pytest.mark.parametrize("allocation", EVERY, ids=str)
def test_no_scores_and_scores_that_are_no_numbers_are_refused(allocation):
    with pytest.raises(InputError, match="none were given"):
        find(allocation)({}, 0.5, GEOMETRIES)
    wrong = {**SCORES, "b": torch.full((1, 4), math.nan)}
    with pytest.raises(InputError, match=r"scores of b must be floating point numbers, found torch\.float32 with nan"):
        find(allocation)(wrong, 0.5, GEOMETRIES)
    with pytest.raises(InputError, match=r"scores of b must be floating point numbers, found torch\.int64"):
        find(allocation)({**SCORES, "b": torch.ones(1, 4, dtype=torch.int64)}, 0.5, GEOMETRIES)


@pytest.mark.parametrize("allocation", EVERY[:-1])
@pytest.mark.parametrize("density", [0.0, 1.5, math.nan])
def test_a_density_outside_its_range_is_refused(allocation, density):
    with pytest.raises(InputError, match=r"density must be in \(0, 1\], found"):
        find(allocation)(SCORES, density, GEOMETRIES)


@pytest.mark.parametrize("allocation", NEED_GEOMETRY)
def test_a_layer_without_geometry_is_refused(allocation):
    with pytest.raises(InputError, match=r"the geometry of b is not known: pass snnprune\.geometry\(network\)"):
        find(allocation)(SCORES, 0.5, {"a": GEOMETRIES["a"]})


ROW, COLUMN = torch.arange(40)[:, None], torch.arange(4000)[None]


@pytest.mark.parametrize(
    ("allocation", "expected"),
    [
        *((name, ROW < 2) for name in ("global", "uniform", "kernels", "filters", "fan-out=7")),
        ("rows", (COLUMN < 200).expand(40, -1)),
        ("fan-in=7", (COLUMN < 7).expand(40, -1)),
        ("2:4", (COLUMN % 4 < 2) & (ROW < 4)),
    ],
)
def test_of_equal_scores_the_first_are_kept_in_large_layers_too(allocation, expected):
    kept = find(allocation)({"w": torch.zeros(40, 4000)}, 0.05, {"w": static_geometry(nn.Linear(4000, 40))})
    assert torch.equal(kept["w"], expected.expand(40, 4000))


@pytest.mark.parametrize("allocation", [name for name in ALLOCATIONS if name not in NEED_GEOMETRY])
def test_the_others_need_no_geometry(allocation):
    assert ALLOCATIONS[allocation](SCORES, 0.5, {}).nonzero == 6


@pytest.mark.parametrize("pattern", ["0:4", "5:4"])
def test_n_of_m_wants_n_between_1_and_m(pattern):
    with pytest.raises(InputError, match=rf"N:M must have 1 <= N <= M, found {pattern}"):
        find(pattern)(SCORES, 0.5, GEOMETRIES)


def test_n_of_m_wants_a_fan_in_that_m_divides():
    with pytest.raises(InputError, match="1:3 needs a fan-in that 3 divides, a has 4, b has 4: exclude these layers"):
        find("1:3")(SCORES, 0.5, GEOMETRIES)


@pytest.mark.parametrize("kind", ["fan-in", "fan-out"])
def test_a_cap_below_1_is_refused(kind):
    with pytest.raises(InputError, match=f"the {kind} cap must be 1 or more, found 0"):
        find(f"{kind}=0")(SCORES, 0.5, GEOMETRIES)


def test_a_cap_that_does_not_limit_a_layer_is_reported_once(caplog):
    limits._warn_once.cache_clear()
    find("fan-out=1")(SCORES, None, GEOMETRIES)
    kept = find("fan-out=1")(SCORES, None, GEOMETRIES)
    assert caplog.messages == ["b has a fan-out of 1: a cap of 1 does not limit it"]
    assert kept["b"].all()


@pytest.mark.parametrize(
    ("densities", "message"),
    [
        ({"a": 0.5}, "densities are given for a, the layers are a, b"),
        ({}, "densities are given for no layer, the layers are a, b"),
        ({"a": 0.5, "b": 0.5, "c": 0.5}, "densities are given for a, b, c, the layers are a, b"),
        ({"a": 0.5, "b": 1.2}, r"densities\['b'\] must be in \[0, 1\], found 1\.2"),
        ({"a": math.nan, "b": 1}, r"densities\['a'\] must be in \[0, 1\], found nan"),
    ],
)
def test_densities_by_hand_must_name_the_layers(densities, message):
    with pytest.raises(InputError, match=message):
        per_layer(SCORES, densities)


@pytest.mark.parametrize("allocation", ["global", "lamp", "filters", "kernels", {"a": 1, "b": 0}], ids=str)
def test_a_layer_without_synapses_is_reported_by_name(allocation, caplog):
    scores = {"a": torch.full((2, 4), 5.0), "b": torch.zeros(1, 4)}
    kept = find(allocation)(scores, 0.5, GEOMETRIES)
    assert not kept["b"].any()
    assert caplog.messages == ["no synapse is left in b: this layer passes on no spikes"]


def test_a_layer_that_was_empty_before_is_not_reported_again(caplog):
    kept = find("global")({**SCORES, "b": torch.full((1, 4), -math.inf)}, 0.5, GEOMETRIES)
    assert not kept["b"].any()
    assert not caplog.messages
