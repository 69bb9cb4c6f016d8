from hypothesis import given
from hypothesis import strategies as st

from snnprune.allocation.shares import deal

LAYERS = st.lists(st.tuples(st.floats(0.01, 1000), st.integers(0, 50)), min_size=1, max_size=6)


def test_largest_remainders_by_hand():
    capacities = {"a": 9, "b": 9, "c": 9}
    # 10 x 3/7, 10 x 2/7, 10 x 2/7 = 4.29, 2.86, 2.86
    assert deal(10, {"a": 3, "b": 2, "c": 2}, capacities) == {"a": 4, "b": 3, "c": 3}
    # 8 x 3/7, ... = 3.43, 2.29, 2.29
    assert deal(8, {"a": 3, "b": 2, "c": 2}, capacities) == {"a": 4, "b": 2, "c": 2}
    # equal remainders go in order
    assert deal(4, {"a": 1, "b": 1, "c": 1}, capacities) == {"a": 2, "b": 1, "c": 1}
    assert deal(1, {"a": 1, "b": 1, "c": 1}, capacities) == {"a": 1, "b": 0, "c": 0}
    assert deal(0, {"a": 1, "b": 1, "c": 1}, capacities) == {"a": 0, "b": 0, "c": 0}


def test_a_full_share_leaves_the_rest_to_the_others():
    # 12 in halves would be 6: "a" takes 2; the other 10 would be 2.5 and 7.5, but "c" takes 7 at most
    assert deal(12, {"a": 4, "b": 1, "c": 3}, {"a": 2, "b": 5, "c": 7}) == {"a": 2, "b": 3, "c": 7}
    assert deal(14, {"a": 4, "b": 1, "c": 3}, {"a": 2, "b": 5, "c": 7}) == {"a": 2, "b": 5, "c": 7}
    assert deal(3, {"a": 4, "b": 1}, {"a": 0, "b": 5}) == {"a": 0, "b": 3}


def test_large_layers_are_not_lost_in_rounding():
    capacities = {"a": 33_554_432, "b": 3_160_832}
    assert deal(sum(capacities.values()), capacities, capacities) == capacities
    assert sum(deal(1_835_763, capacities, capacities).values()) == 1_835_763


def slow_fractions(total: int, proportions: list[float], capacities: list[int]) -> list[float]:
    """The factor at which min(factor * proportions, capacities) gives the total, by bisection."""
    low, high = 0.0, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        allotted = sum(min(middle * share, space) for share, space in zip(proportions, capacities, strict=True))
        low, high = (middle, high) if allotted < total else (low, middle)
    return [min(high * share, space) for share, space in zip(proportions, capacities, strict=True)]


@given(layers=LAYERS, fraction=st.floats(0, 1))
def test_the_sum_is_exact_and_no_share_is_more_than_one_off(layers, fraction):
    proportions, capacities = [share for share, _ in layers], [space for _, space in layers]
    total = round(fraction * sum(capacities))
    counts = deal(total, dict(enumerate(proportions)), dict(enumerate(capacities)))
    assert sum(counts.values()) == total
    for count, exact, space in zip(
        counts.values(), slow_fractions(total, proportions, capacities), capacities, strict=True
    ):
        assert abs(count - exact) < 1 + 1e-6
        assert 0 <= count <= space
