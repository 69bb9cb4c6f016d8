from hypothesis import given
from hypothesis import strategies as st

from snnprune.allocation.shares import deal

LAYERS = st.lists(st.tuples(st.floats(0.01, 1000), st.integers(0, 50)), min_size=1, max_size=6)


def test_largest_remainders_by_hand():
    room = {"a": 9, "b": 9, "c": 9}
    # 10 x 3/7, 10 x 2/7, 10 x 2/7 = 4.29, 2.86, 2.86
    assert deal(10, {"a": 3, "b": 2, "c": 2}, room) == {"a": 4, "b": 3, "c": 3}
    # 8 x 3/7, ... = 3.43, 2.29, 2.29
    assert deal(8, {"a": 3, "b": 2, "c": 2}, room) == {"a": 4, "b": 2, "c": 2}
    # equal remainders go in order
    assert deal(4, {"a": 1, "b": 1, "c": 1}, room) == {"a": 2, "b": 1, "c": 1}
    assert deal(1, {"a": 1, "b": 1, "c": 1}, room) == {"a": 1, "b": 0, "c": 0}
    assert deal(0, {"a": 1, "b": 1, "c": 1}, room) == {"a": 0, "b": 0, "c": 0}


def test_what_is_full_leaves_the_rest_to_the_others():
    # 12 in halves would be 6: "a" has 2; the 10 left are 2.5 and 7.5, and "c" has 7
    assert deal(12, {"a": 4, "b": 1, "c": 3}, {"a": 2, "b": 5, "c": 7}) == {"a": 2, "b": 3, "c": 7}
    assert deal(14, {"a": 4, "b": 1, "c": 3}, {"a": 2, "b": 5, "c": 7}) == {"a": 2, "b": 5, "c": 7}
    assert deal(3, {"a": 4, "b": 1}, {"a": 0, "b": 5}) == {"a": 0, "b": 3}


def test_large_layers_are_not_lost_in_rounding():
    room = {"a": 33_554_432, "b": 3_160_832}
    assert deal(sum(room.values()), room, room) == room
    assert sum(deal(1_835_763, room, room).values()) == 1_835_763


def slow_fractions(total: int, wanted: list[float], room: list[int]) -> list[float]:
    """The factor at which min(factor * wanted, room) gives the total, by bisection."""
    low, high = 0.0, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        given_out = sum(min(middle * share, space) for share, space in zip(wanted, room, strict=True))
        low, high = (middle, high) if given_out < total else (low, middle)
    return [min(high * share, space) for share, space in zip(wanted, room, strict=True)]


@given(layers=LAYERS, fraction=st.floats(0, 1))
def test_the_sum_is_exact_and_nobody_is_more_than_one_off(layers, fraction):
    wanted, room = [share for share, _ in layers], [space for _, space in layers]
    total = round(fraction * sum(room))
    counts = deal(total, dict(enumerate(wanted)), dict(enumerate(room)))
    assert sum(counts.values()) == total
    for count, exact, space in zip(counts.values(), slow_fractions(total, wanted, room), room, strict=True):
        assert abs(count - exact) < 1 + 1e-6
        assert 0 <= count <= space
