"""The mechanism: what an annotation declares is what a function gets, and everything else is one line."""

import inspect
import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction as Ratio
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snnprune import InputError
from snnprune.errors import shortened
from snnprune.options import (
    Converted,
    Count,
    Fraction,
    Interval,
    Positive,
    Seed,
    Share,
    ShareOfSteps,
    Steps,
    check,
    check_fields,
    checked,
)


@given(
    number=st.one_of(st.floats(), st.integers(-10, 10)),
    low=st.floats(-5, 5),
    width=st.floats(0, 5),
    ends=st.tuples(st.booleans(), st.booleans()),
)
def test_an_interval_holds_what_lies_between_its_ends(number, low, width, ends):
    high = low + width
    interval = Interval(**{"least" if ends[0] else "above": low, "most" if ends[1] else "below": high})
    inside = (number >= low if ends[0] else number > low) and (number <= high if ends[1] else number < high)
    assert interval.holds(number) == inside
    assert str(interval) == f"in {'[' if ends[0] else '('}{low}, {high}{']' if ends[1] else ')'}"


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        (Interval(), "a number"),
        (Interval(least=1), "1 or more"),
        (Interval(above=0), "above 0"),
        (Interval(most=0), "0 or less"),
        (Interval(below=0), "below 0"),
        (Interval(least=1, words="an integer, 1 or more"), "an integer, 1 or more"),
    ],
)
def test_an_interval_in_words(interval, words):
    assert str(interval) == words


@given(number=st.floats(1e-3, 1, exclude_min=True))
def test_every_kind_of_number_becomes_a_plain_one(number):
    for of in (float, np.float64, np.float32, np.array, torch.tensor, Ratio, lambda n: Decimal(n)):
        found = check("density", of(number), Share)
        assert type(found) is float
        assert found == pytest.approx(number, rel=1e-6)


@given(number=st.integers(0, 2**63 - 1))
def test_every_kind_of_integer_becomes_a_plain_one(number):
    for of in (int, np.int64, np.array, torch.tensor):
        found = check("seed", of(number), Seed)
        assert type(found) is int
        assert found == number


@given(value=st.one_of(st.text(), st.binary(), st.none(), st.booleans(), st.lists(st.floats()), st.complex_numbers()))
def test_what_is_no_number_is_refused_in_one_short_line(value):
    for annotation in (Share, Positive, Count, Seed, int, float):
        with pytest.raises(InputError) as caught:
            check("it", value, annotation)
        message = str(caught.value)
        assert message.startswith("it must be ")
        assert "\n" not in message
        assert len(message) < 300


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (Share, 0, "it must be in (0, 1], found 0"),
        (Share, True, "it must be in (0, 1], found True"),
        (Share, "a" * 10**6, "it must be in (0, 1], found 'aaa"),
        (ShareOfSteps, 2, "it, a share of the steps, must be in [0, 1]; found 2"),
        (Steps, 0, "it must be an integer, 1 or more; found 0"),
        (Steps, 2.0, "it must be an integer, 1 or more; found 2.0"),
        (Count, np.float64(3), "it must be a whole number, found"),
        (Seed, 2**63, "it must be at most 9223372036854775807, found 9223372036854775808"),
        pytest.param(
            Seed, 10**6000, "it must be at most 9223372036854775807, found an integer of 19932 bits", id="huge"
        ),
        (Positive, math.inf, "it must be above 0, found inf"),
        (Positive, 1e30, "it must be at most 1e+18 in size, found 1e+30"),
        (Positive, 1e-30, "it must be 0, or at least 1e-18 in size; found 1e-30"),
        (float, math.nan, "it must be a number, found nan"),
        (int, None, "it must be a whole number, found None"),
        (bool, 1, "it must be True or False, found 1"),
        (str, b"x", "it must be text, found b'x'"),
        (Literal["a", "b"], "c", "it must be 'a' or 'b', found 'c'"),
        (Literal["a", "b", "c"], ["a"], "it must be one of a, b, c, found ['a']"),
        (Share | None, "x", "it must be in (0, 1], found 'x'"),
        (str | Mapping[str, float], 3, "it must be text or a mapping, found 3"),
        (Mapping[str, Share], {"a": 2}, "it['a'] must be in (0, 1], found 2"),
        (Sequence[Count], [1, 0], "it[1] must be 1 or more, found 0"),
        (Sequence[str], "abc", "it must be a list, found 'abc'"),
        (Iterable[str], torch.tensor(1.0), "it must be a list, found Tensor of shape []"),
        (str | Sequence[Sequence[Count]], [[1], [2, "x"]], "it[1][1] must be a whole number, found 'x'"),
        (Callable[[int, int], float], len, "it must be a function of 2 arguments, found len"),
        (Callable[..., float], 3, "it must be a function, found 3"),
        (torch.nn.Module, torch.nn, "it must be a torch module, found torch.nn"),
    ],
)
def test_messages(annotation, value, message):
    with pytest.raises(InputError) as caught:
        check("it", value, annotation)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Share | None, None, None),
        (bool, np.bool_(True), True),
        (Any, object, object),
        (Iterable[str], iter("ab"), ("a", "b")),
        (Mapping[str, Share], {"a": np.float64(0.5)}, {"a": 0.5}),
        (Sequence[Count], [np.int32(3)], (3,)),
        (Callable[[int], int], abs, abs),
        (Callable[[int, int], int], min, min),
        (Annotated[int, Converted(lambda value: value + 1)], 1, 2),
        (Annotated[str, "a note"], "x", "x"),
    ],
)
def test_what_fits_is_converted(annotation, value, expected):
    found = check("it", value, annotation)
    assert found == expected
    assert type(found) is type(expected)


def test_what_fits_as_it_is_stays_the_same_object():
    for annotation, value in ((Sequence[int], [1, 2]), (Mapping[str, float], {"a": 0.5}), (Callable[[int], int], abs)):
        assert check("it", value, annotation) is value


def test_a_checked_function_is_called_as_before():
    @checked
    def mixed(
        first: Share,
        /,
        second: Count = 2,
        *rest: Count,
        third: "Share" = 1.0,
        unknown: "Missing" = 3,  # type: ignore[name-defined]  # noqa: F821
        **more: Any,
    ):
        return first, second, rest, third, unknown, more

    assert mixed(np.float64(0.5)) == (0.5, 2, (), 1.0, 3, {})
    assert mixed(0.5, np.int64(3), "any", third=torch.tensor(0.5), unknown="x", other=[]) == (
        0.5,
        3,
        ("any",),
        0.5,
        "x",
        {"other": []},
    )
    assert list(inspect.signature(mixed).parameters) == ["first", "second", "rest", "third", "unknown", "more"]
    with pytest.raises(InputError, match=r"third must be in \(0, 1\], found 2"):
        mixed(0.5, third=2)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'first'"):
        mixed()


def test_defaults_are_not_checked():
    @checked
    def waiting(share: Share = "later"):
        return share

    assert waiting() == "later"


def test_fields_of_a_frozen_dataclass_are_converted():
    @dataclass(frozen=True)
    class Settings:
        share: Fraction
        count: Count = 1

        def __post_init__(self) -> None:
            check_fields(self, label=lambda name: f"--{name}")

    settings = Settings(np.float32(0.5), np.int64(4))
    assert (type(settings.share), type(settings.count)) == (float, int)
    with pytest.raises(InputError, match="--count must be 1 or more, found 0"):
        Settings(0.5, 0)


@given(st.recursive(st.one_of(st.integers(), st.text(), st.floats()), lambda inner: st.lists(inner), max_leaves=200))
def test_values_in_messages_are_short_and_in_one_line(value):
    shown = shortened(value)
    assert len(shown) <= 200
    assert shown.isprintable()


def test_the_declarations_import_no_torch():
    code = "import sys, snnprune.options, snnprune.runs.config; assert not {'torch', 'numpy'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
