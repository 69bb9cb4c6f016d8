"""Options that take several values, listed or repeated, and NAME=VALUE pairs."""

import argparse

import pytest

from snnprune.runs.config import Config, Runtime
from snnprune.runs.options import add_options, add_several, config_fields, runtime_of


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_options(parser, Config, Runtime)
    add_several(parser, "--seeds", type=int, default=[7])
    return parser


@pytest.mark.parametrize(
    ("line", "seeds"),
    [("", [7]), ("--seeds 1 2", [1, 2]), ("--seeds 1 --seeds 2", [1, 2]), ("--seeds 1 2 --seeds 3", [1, 2, 3])],
)
def test_several_values_are_listed_or_repeated(line, seeds, parser):
    assert parser.parse_args(line.split()).seeds == seeds
    assert parser.parse_args([]).seeds == [7]


@pytest.mark.parametrize("line", ["--option a=1 b=two", "--option a=1 --option b=two", "--option a=0 b=two a=1"])
def test_options_of_a_method_are_collected(line, parser):
    given = vars(parser.parse_args(line.split()))
    assert config_fields(given) == {"options": {"a": 1, "b": "two"}}
    assert runtime_of(given) == Runtime()


def test_a_combination_means_the_method_pruning(parser):
    assert config_fields(vars(parser.parse_args(["--criterion", "taylor"])))["method"] == "pruning"
    given = vars(parser.parse_args(["--criterion", "taylor", "--method", "gmp"]))
    assert config_fields(given) == {"criterion": "taylor", "method": "gmp"}
    assert runtime_of(vars(parser.parse_args(["--quiet"])), out="here") == Runtime(out="here", quiet=True)
