from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnprune import InputError
from snnprune.schedules import OneShot, Polynomial, Rounds, hold_then_cosine, make, rounds_for


def updates(schedule, steps: int) -> list[int]:
    return [step for step in range(steps) if schedule.updates_at(step)]


def test_one_shot_by_hand():
    schedule = OneShot(density=0.1, at=3)
    assert [schedule.density_at(step) for step in range(5)] == [1, 1, 1, 0.1, 0.1]
    assert updates(schedule, 10) == [3]
    assert updates(OneShot(density=0.1, at=0), 10) == [0]


def test_the_cubic_ramp_by_hand():
    schedule = Polynomial(density=0.2, begin=2, end=6, every=1)
    expected = [1, 1, 1, 0.2 + 0.8 * 0.421875, 0.2 + 0.8 * 0.125, 0.2 + 0.8 * 0.015625, 0.2, 0.2]
    assert [schedule.density_at(step) for step in range(8)] == pytest.approx(expected)
    assert schedule.density_at(6) == 0.2
    assert updates(schedule, 10) == [3, 4, 5, 6]


def test_the_linear_ramp_chooses_every_so_many_steps_and_at_its_end():
    schedule = Polynomial(density=0.5, begin=1, end=9, every=3, power=1)
    assert [schedule.density_at(step) for step in (1, 3, 5, 9)] == pytest.approx([1, 0.875, 0.75, 0.5])
    assert updates(schedule, 20) == [4, 7, 9]


@pytest.mark.parametrize("step", [0, 5, 6])
def test_a_ramp_without_length_is_a_single_cut(step):
    schedule = Polynomial(density=0.2, begin=5, end=5)
    assert schedule.density_at(step) == (1 if step < 5 else 0.2)
    assert schedule.updates_at(step) == (step == 5)


def test_rounds_by_hand():
    schedule = Rounds(density=0.25, rounds=2, end=10)
    assert [schedule.density_at(step) for step in (-1, 0, 4, 5, 9, 10, 99)] == [1, 1, 1, 0.5, 0.5, 0.25, 0.25]
    assert updates(schedule, 30) == [5, 10]
    assert [schedule.rounds_done(step) for step in (4, 5, 10)] == [0, 1, 2]


def test_more_rounds_than_steps_share_the_steps():
    schedule = Rounds(density=0.5**6, rounds=6, end=3)
    assert updates(schedule, 10) == [1, 2, 3]
    assert [schedule.density_at(step) for step in range(5)] == pytest.approx([1, 1 / 4, 1 / 16, 1 / 64, 1 / 64])


def test_rounds_that_end_at_once_are_done_before_the_first_step():
    schedule = make("rounds", density=0.1, begin=0, end=0)
    assert schedule.density_at(0) == 0.1
    assert updates(schedule, 10) == [0]


def test_the_number_of_rounds_by_hand():
    # 0.75^2 = 0.5625: two rounds just reach it, a smaller density takes a third
    assert [rounds_for(density, 0.25) for density in (0.5625, 0.5624, 0.75, 0.9, 1)] == [2, 3, 1, 1, 1]
    assert rounds_for(0.01, 0.9) == 2


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.25, 0.3, 0.5, 0.9])
def test_so_many_rounds_as_were_put_in_come_out_whatever_the_rounding(rate):
    assert [rounds_for((1 - rate) ** rounds, rate) for rounds in range(1, 40)] == list(range(1, 40))


def test_schedules_by_name():
    assert make("one-shot", density=0.1, begin=0, end=7) == OneShot(density=0.1, at=7)
    assert make("rounds", density=0.5625, begin=0, end=7) == Rounds(density=0.5625, rounds=2, end=7)
    linear = make("linear", density=0.1, begin=2, end=7, every=3)
    assert linear == Polynomial(density=0.1, begin=2, end=7, every=3, power=1)


@pytest.mark.parametrize(("length", "every"), [(10, 1), (500, 10), (5000, 100), (100_000, 100)])
def test_a_short_ramp_has_about_fifty_choices_and_a_long_one_one_in_a_hundred_steps(length, every):
    assert make("cubic", density=0.1, begin=20, end=20 + length) == Polynomial(
        density=0.1, begin=20, end=20 + length, every=every, power=3
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "sudden"}, r"unknown schedule 'sudden': known are cubic, linear, one-shot, rounds"),
        ({"density": 0.0}, r"density must be in \(0, 1\], found 0\.0"),
        ({"density": 1.5}, r"density must be in \(0, 1\], found 1\.5"),
        ({"begin": 8}, r"must have 0 <= begin <= end, found begin 8, end 7"),
        ({"begin": -1}, r"found begin -1, end 7"),
        ({"rate": 1.0}, r"rate must be in \(0, 1\), found 1\.0"),
        ({"rate": 0.0}, r"rate must be in \(0, 1\), found 0\.0"),
        ({"every": 0}, r"every must be 1 or more, found 0"),
    ],
)
def test_wrong_values_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        make(**{"name": "cubic", "density": 0.5, "begin": 0, "end": 7, **options})


def test_wrong_values_are_refused_by_the_classes_too():
    with pytest.raises(InputError, match=r"density must be in \(0, 1\], found 0.0"):
        OneShot(density=0.0, at=5)
    with pytest.raises(InputError, match="a schedule must have 0 <= begin <= end, found begin 4, end 3"):
        Polynomial(density=0.5, begin=4, end=3)
    with pytest.raises(InputError, match="power must be 1 or more, found 0"):
        Polynomial(density=0.5, end=3, power=0)
    with pytest.raises(InputError, match="rounds must be 1 or more, found 0"):
        Rounds(density=0.5, rounds=0, end=3)


@given(
    name=st.sampled_from(["one-shot", "linear", "cubic", "rounds"]),
    density=st.floats(0.001, 1),
    begin=st.integers(0, 20),
    length=st.integers(0, 60),
    every=st.none() | st.integers(1, 30),
    rate=st.floats(0.01, 0.95),
)
def test_every_schedule_falls_from_1_to_its_density_and_chooses_when_it_ends(name, density, begin, length, every, rate):
    end = begin + length
    schedule = make(name, density=density, begin=begin, end=end, every=every, rate=rate)
    densities = [schedule.density_at(step) for step in range(end + 3)]
    assert all(later <= earlier for earlier, later in pairwise(densities))
    assert densities[end:] == [density] * 3
    assert end == 0 or densities[0] == 1
    assert updates(schedule, end + 50)[-1] == end


def test_the_rate_is_held_and_then_falls_on_a_cosine():
    assert [hold_then_cosine(step, steps=8, hold=0.5) for step in (0, 3, 4)] == [1, 1, 1]
    assert hold_then_cosine(6, steps=8, hold=0.5) == pytest.approx(0.5)
    assert hold_then_cosine(8, steps=8, hold=0.5) == pytest.approx(0)
    assert hold_then_cosine(8, steps=8, hold=1) == 1
