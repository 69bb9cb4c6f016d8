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


def test_the_settings_where_nothing_is_said():
    assert Config().to_json() == {
        **{"model": "mnist-mlp", "data": "mnist", "images": 0, "method": "gradr", "density": None, "alpha": None},
        **{"criterion": None, "allocation": None, "schedule": None, "chip": None, "calibration": 512, "options": {}},
        **{"epochs": 15, "batch_size": 128, "lr": 0.001, "hold": 0.8, "weight_decay": 0.0, "loss": "mse"},
        **{"timesteps": 8, "neuron": "lif", "augment": "default", "precision": "fp32", "validation": 0, "seed": 0},
    }
    assert vars(Runtime()) == {
        **{"out": "runs/train", "resume": False, "device": "auto", "data_root": None, "no_download": False},
        **{"compile": "auto", "quiet": False, "tensorboard": False, "stop_after": None},
    }
