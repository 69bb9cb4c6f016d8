"""Equal numbers of synapses for each processing element, by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snnprune import Connectivity, InputError, geometry
from snnprune.allocation import balanced, find, utilisation

SHAPES = geometry(nn.Linear(3, 4, bias=False))
SCORES = {"weight": torch.tensor([[9.0, 8.0, 7.0], [6.0, 5.0, 0.1], [4.0, 0.2, 0.3], [0.4, 0.5, 0.6]])}


def test_every_block_keeps_its_best():
    # Ranked globally the first six are in rows 0, 1 and 2; two blocks of two rows keep three each.
    kept = balanced(SCORES, 0.5, SHAPES, elements=2)["weight"].int()
    assert kept.tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 1]]


def test_the_utilisation_is_mean_over_largest_work():
    ranked = find("global")(SCORES, 0.5, SHAPES)  # 5 and 1 synapses in two blocks
    assert utilisation(ranked, SHAPES, elements=2) == {"weight": pytest.approx(3 / 5)}
    assert utilisation(balanced(SCORES, 0.5, SHAPES, elements=2), SHAPES, elements=2) == {"weight": 1.0}
    assert utilisation(Connectivity({"weight": torch.zeros(4, 3, dtype=torch.bool)}), SHAPES) == {"weight": 1.0}


def test_excluded_synapses_are_used_if_a_block_has_no_others():
    scores = {"weight": SCORES["weight"].clone()}
    scores["weight"][2:] = -math.inf
    kept = balanced(scores, 0.5, SHAPES, elements=2)["weight"]
    assert kept[:2].sum() == kept[2:].sum() == 3
    assert kept[0].all()


@settings(max_examples=60, deadline=None)
@given(density=st.floats(0.01, 1), elements=st.integers(1, 12), seed=st.integers(0, 99))
def test_the_count_is_exact_and_the_work_even(density, elements, seed):
    network = nn.Sequential(nn.Linear(7, 9, bias=False), nn.Linear(9, 5, bias=False))
    scores = {
        f"{i}.weight": torch.rand(n, generator=torch.Generator().manual_seed(seed))
        for i, n in ((0, (9, 7)), (1, (5, 9)))
    }
    kept = find(f"balanced={elements}")(scores, density, geometry(network))
    assert kept.nonzero == round(density * 108)
    for mask in kept.values():
        blocks = mask.tensor_split(min(elements, len(mask)))
        work = [int(block.sum()) for block in blocks]
        full = [block.numel() == count for block, count in zip(blocks, work, strict=True)]
        assert max(work) - min(work) <= 1 or any(full)


def test_no_elements_are_refused():
    with pytest.raises(InputError, match="elements must be 1 or more, found 0"):
        balanced(SCORES, 0.5, SHAPES, elements=0)
