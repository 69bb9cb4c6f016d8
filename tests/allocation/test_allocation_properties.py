"""Guarantees of each allocation, on random layers of every kind, with ties and with excluded synapses."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snnprune.allocation import ALLOCATIONS, find, lamp
from snnprune.layout import to_columns, to_rows
from snnprune.synapses import static_geometry

LAYERS = [
    nn.Linear(8, 3),
    nn.Linear(4, 1),
    nn.Conv1d(4, 6, 2, groups=2),
    nn.Conv2d(2, 4, (1, 2)),
    nn.ConvTranspose1d(4, 2, 2),
    nn.ConvTranspose1d(4, 4, 2, groups=2),
]
EXACT = ["global", "lamp", "uniform", "er", "erk", "rows"]


@st.composite
def layered(draw, *, ties=True, absent=False, positive=False):
    """Scores and geometries of one to four layers."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    scores, geometries = {}, {}
    for index, module in enumerate(draw(st.lists(st.sampled_from(LAYERS), min_size=1, max_size=4))):
        numbers = 3 * torch.randn(module.weight.shape, generator=generator)
        numbers = numbers.abs() + 0.1 if positive else numbers
        numbers = numbers.round() if ties else numbers
        if absent:
            share = draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
            numbers[torch.rand(numbers.shape, generator=generator) < share] = -math.inf
        scores[f"{index}.weight"], geometries[f"{index}.weight"] = numbers, static_geometry(module)
    return scores, geometries


DENSITIES = st.floats(0.001, 1)
PARTLY_ABSENT = layered(absent=True)


def total(scores: dict[str, torch.Tensor]) -> int:
    return sum(score.numel() for score in scores.values())


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=60, deadline=None)
@given(case=PARTLY_ABSENT, density=DENSITIES)
def test_the_count_is_exact_and_the_absent_are_taken_only_where_there_is_no_other_way(name, case, density):
    scores, geometries = case
    kept = find(name)(scores, density, geometries)
    present = sum(int((score > -math.inf).sum()) for score in scores.values())
    taken = sum(int((mask & (scores[layer] == -math.inf)).sum()) for layer, mask in kept.items())
    assert kept.nonzero == round(density * total(scores))
    assert taken == max(0, kept.nonzero - present)


@pytest.mark.parametrize("name", [name for name in EXACT if name != "rows"])
@settings(max_examples=40, deadline=None)
@given(case=PARTLY_ABSENT, density=DENSITIES)
def test_within_a_layer_the_largest_are_kept_and_ties_go_by_index(name, case, density):
    scores, geometries = case
    for layer, mask in find(name)(scores, density, geometries).items():
        flat = scores[layer].flatten().tolist()
        best = sorted(range(len(flat)), key=lambda index: -flat[index])[: int(mask.sum())]
        assert mask.flatten().nonzero()[:, 0].tolist() == sorted(best)


@settings(max_examples=60, deadline=None)
@given(case=layered(), density=DENSITIES)
def test_rows_differ_by_one_synapse_at_most_and_hold_their_largest(case, density):
    scores, geometries = case
    for layer, mask in find("rows")(scores, density, geometries).items():
        kept, matrix = to_rows(mask, geometries[layer]), to_rows(scores[layer], geometries[layer])
        assert int(kept.sum(1).max() - kept.sum(1).min()) <= 1
        for row, flags in zip(matrix.tolist(), kept.tolist(), strict=True):
            best = sorted(range(len(row)), key=lambda index: -row[index])[: sum(flags)]
            assert [index for index, flag in enumerate(flags) if flag] == sorted(best)


@pytest.mark.parametrize("name", ["1:2", "1:4", "2:4", "fan-in=1", "fan-in=3", "fan-out=1", "fan-out=2"])
@settings(max_examples=40, deadline=None)
@given(case=PARTLY_ABSENT, density=st.none() | DENSITIES)
def test_limits_are_never_exceeded_and_nothing_absent_is_taken(name, case, density):
    scores, geometries = case
    kept, most = find(name)(scores, density, geometries), find(name)(scores, None, geometries)
    assert kept.nonzero == min(most.nonzero, round((density or 1) * total(scores)))
    for layer, mask in kept.items():
        assert not (mask & (scores[layer] == -math.inf)).any()
        if ":" in name:
            units = to_rows(mask, geometries[layer]).reshape(-1, int(name[-1]))
        else:
            units = (to_columns if "out" in name else to_rows)(mask, geometries[layer])
        assert int(units.sum(1).max()) <= int(name.removeprefix("fan-in=").removeprefix("fan-out=").split(":")[0])


@pytest.mark.parametrize("name", ["1:2", "fan-in=2", "fan-out=2"])
@settings(max_examples=40, deadline=None)
@given(case=layered(), density=DENSITIES)
def test_a_limit_keeps_the_best_that_it_allows(name, case, density):
    scores, geometries = case
    kept, most = find(name)(scores, density, geometries), find(name)(scores, None, geometries)
    chosen = torch.cat([scores[layer][mask] for layer, mask in kept.items()])
    allowed = torch.cat([scores[layer][mask] for layer, mask in most.items()])
    assert torch.equal(chosen.sort().values, allowed.sort().values[len(allowed) - len(chosen) :])


@pytest.mark.parametrize("name", ["kernels", "filters"])
@settings(max_examples=60, deadline=None)
@given(case=layered(), density=DENSITIES)
def test_grains_stay_whole_and_less_than_one_is_missing(name, case, density):
    scores, geometries = case
    sizes = {layer: g.fan_in if name == "filters" else math.prod(g.kernel) for layer, g in geometries.items()}
    kept, count = find(name)(scores, density, geometries), round(density * total(scores))
    assert count - max(sizes.values()) < kept.nonzero <= count
    for layer, mask in kept.items():
        grains = to_rows(mask, geometries[layer]).reshape(-1, sizes[layer])
        assert torch.equal(grains.any(1), grains.all(1))


@pytest.mark.parametrize("name", ["kernels", "filters"])
@settings(max_examples=40, deadline=None)
@given(case=PARTLY_ABSENT, density=DENSITIES)
def test_a_grain_with_an_absent_synapse_is_left_out(name, case, density):
    scores, geometries = case
    kept = find(name)(scores, density, geometries)
    assert kept.nonzero <= round(density * total(scores))
    assert not any((mask & (scores[layer] == -math.inf)).any() for layer, mask in kept.items())


def slow_lamp(numbers: list[float]) -> list[float]:
    """Equation 4 by two loops, after shifting the scores to a minimum of 0."""
    lowest = min([0.0, *(number for number in numbers if number > -math.inf)])
    squares = [(number - lowest) ** 2 if number > -math.inf else 0.0 for number in numbers]
    shares = []
    for u, mine in enumerate(squares):
        whole = sum(other for v, other in enumerate(squares) if (other, -v) >= (mine, -u))
        shares.append(mine / whole if whole else 0.0)
    return [share if number > -math.inf else -math.inf for share, number in zip(shares, numbers, strict=True)]


@settings(max_examples=100, deadline=None)
@given(case=layered(absent=True) | layered(ties=False), density=DENSITIES)
def test_lamp_equals_a_double_loop(case, density):
    scores, _ = case
    shares = [(share, layer) for layer, score in scores.items() for share in slow_lamp(score.flatten().tolist())]
    count = round(density * len(shares))
    ranked = sorted((share for share, _ in shares), reverse=True)
    kept = lamp(scores, density)
    for layer, mask in kept.items():
        mine = sorted((share for share, name in shares if name == layer), reverse=True)
        chosen = mine[: int(mask.sum())]
        assert not chosen or min(chosen) >= ranked[count - 1] - 1e-12
        assert len(chosen) == len(mine) or count == 0 or mine[len(chosen)] <= ranked[count - 1] + 1e-12


@settings(max_examples=60, deadline=None)
@given(case=layered(ties=False, positive=True), density=DENSITIES)
def test_lamp_empties_no_layer_while_another_has_two(case, density):
    scores, _ = case
    counts = [int(mask.sum()) for mask in lamp(scores, density).values()]
    assert min(counts) > 0 or max(counts) <= 1


@settings(max_examples=60, deadline=None)
@given(case=layered(), density=DENSITIES)
def test_erk_follows_its_formula_with_the_dense_layers_capped(case, density):
    scores, geometries = case
    raw = {layer: sum(score.shape) / score.numel() for layer, score in scores.items()}  # for layers without groups
    raw |= {
        layer: (g.inputs + g.outputs + sum(g.kernel)) / scores[layer].numel()
        for layer, g in geometries.items()
        if g.groups > 1
    }
    count = round(density * total(scores))
    low, high, expected = 0.0, 1e6, {}
    for _ in range(200):
        factor = (low + high) / 2
        expected = {layer: min(1, factor * raw[layer]) * score.numel() for layer, score in scores.items()}
        low, high = (factor, high) if sum(expected.values()) < count else (low, factor)
    for layer, mask in find("erk")(scores, density, geometries).items():
        assert abs(int(mask.sum()) - expected[layer]) < 1 + 1e-6


def test_a_layer_gets_nothing_back_where_its_share_of_a_smaller_number_is_larger():
    # The paradox of Alabama: 11 of 14 give 5 5 1 (4.71 4.71 1.57), 10 of 14 give 4 4 2 (4.29 4.29 1.43).
    scores = {name: torch.arange(float(size)) for name, size in (("a", 6), ("b", 6), ("c", 2))}
    first = find("uniform")(scores, 11 / 14, {})
    left = {name: torch.where(first[name], score, -math.inf) for name, score in scores.items()}
    assert [int(mask.sum()) for mask in first.values()] == [5, 5, 1]
    assert [int(mask.sum()) for mask in find("uniform")(scores, 10 / 14, {}).values()] == [4, 4, 2]
    assert [int(mask.sum()) for mask in find("uniform")(left, 10 / 14, {}).values()] == [5, 4, 1]


@settings(max_examples=40, deadline=None)
@given(case=layered(), steps=st.lists(DENSITIES, min_size=2, max_size=6))
def test_further_pruning_does_not_restore_synapses(case, steps):
    scores, geometries = case
    for name in [*ALLOCATIONS, "1:2", "fan-in=2", "fan-out=2"]:
        left, before = scores, None
        for density in sorted(steps, reverse=True):
            kept = find(name)(left, density, geometries)
            assert before is None or not before.diff(kept).regrown.nonzero
            left = {layer: torch.where(kept[layer], score, -math.inf) for layer, score in scores.items()}
            before = kept
