import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snnprune import selection
from snnprune.selection import _largest_on_device, keep_largest


def test_hand_computed_over_two_tensors():
    scores = {"a": torch.tensor([[3.0, 1.0], [2.0, 5.0]]), "b": torch.tensor([4.0, 0.0])}
    kept = keep_largest(scores, 3)
    assert kept["a"].tolist() == [[True, False], [False, True]]
    assert kept["b"].tolist() == [True, False]


def test_ties_go_by_index():
    kept = keep_largest({"a": torch.tensor([1.0, 2.0, 1.0]), "b": torch.tensor([1.0, 1.0])}, 3)
    assert kept["a"].tolist() == [True, True, True]
    assert kept["b"].tolist() == [False, False]


def test_the_first_of_many_ties_are_taken_wherever_the_cut_falls():
    scores = torch.tensor([2.0, 1.0, 0.0, 1.0, 1.0, 3.0, 1.0])
    for count, ties in ((2, []), (3, [1]), (4, [1, 3]), (5, [1, 3, 4]), (6, [1, 3, 4, 6])):
        assert keep_largest({"a": scores}, count)["a"].nonzero()[:, 0].tolist() == sorted([0, 5, *ties])


def test_minus_infinity_is_taken_last_and_by_index():
    lowest = -float("inf")
    scores = {"a": torch.tensor([lowest, -5.0, lowest]), "b": torch.tensor([lowest, 1.0])}
    assert [mask.tolist() for mask in keep_largest(scores, 2).values()] == [[False, True, False], [False, True]]
    assert [mask.tolist() for mask in keep_largest(scores, 3).values()] == [[True, True, False], [False, True]]
    assert [mask.tolist() for mask in keep_largest(scores, 4).values()] == [[True, True, True], [False, True]]


def test_none_and_all():
    scores = {"a": torch.tensor([1.0, 2.0])}
    assert keep_largest(scores, 0)["a"].tolist() == [False, False]
    assert keep_largest(scores, 2)["a"].tolist() == [True, True]


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.integers(-3, 3), min_size=1, max_size=40),
    share=st.floats(0, 1),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_equals_a_stable_sort(values, share, dtype):
    count = round(share * len(values))
    scores = torch.tensor(values, dtype=dtype)
    expected = torch.zeros(len(values), dtype=torch.bool)
    expected[sorted(range(len(values)), key=lambda i: -values[i])[:count]] = True
    cut = len(values) // 2
    if 0 < count < len(values):
        assert torch.equal(_largest_on_device(scores, count), expected)
    kept = keep_largest({"a": scores[:cut], "b": scores[cut:]}, count)
    assert torch.equal(torch.cat([kept["a"], kept["b"]]), expected)


# Small samples and small parts, so that a few numbers reach every branch of the search for the threshold.
@settings(max_examples=300, deadline=None)
@given(
    values=st.lists(st.integers(-30, 30) | st.just(0) | st.just(-torch.inf), min_size=2, max_size=300),
    share=st.floats(0.01, 0.99),
    sample=st.sampled_from([1, 3, 16]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_the_threshold_is_that_of_a_sort_whatever_the_sample_says(values, share, sample, dtype):
    scores = torch.tensor(values, dtype=dtype)
    count = min(max(1, round(share * len(values))), len(values) - 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "_SAMPLE", sample)
        patch.setattr(selection, "_IN_CACHE", 7)
        found = selection._threshold(list(scores.split(50)), count)
    assert found == sorted(map(float, values), reverse=True)[count - 1]


@pytest.mark.parametrize("order", ["random", "ascending", "a comb that the sample falls into"])
def test_a_million_scores_are_ranked_exactly(order):
    scores = torch.rand(2**20 + 3, generator=torch.Generator().manual_seed(0))
    if order == "ascending":
        scores = scores.sort().values
    if order.startswith("a comb"):
        scores[:: scores.numel() // selection._SAMPLE] += 1  # the sample consists of the large ones alone
    kept = keep_largest({"a": scores}, 50_000)["a"]
    assert int(kept.sum()) == 50_000
    assert scores[kept].min() > scores[~kept].max()


def test_a_nan_is_not_taken_for_large():
    scores = torch.arange(10.0)
    scores[3] = torch.nan
    kept = keep_largest({"a": scores}, 4)["a"]
    assert not kept[3]
    assert int(kept.sum()) <= 4


def test_a_channels_last_tensor_is_ranked_in_its_logical_order():
    plain = torch.zeros(2, 3, 2, 2)
    kept = keep_largest({"a": plain.to(memory_format=torch.channels_last)}, 5)["a"]
    assert torch.equal(kept, keep_largest({"a": plain}, 5)["a"])
