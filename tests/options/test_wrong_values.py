"""Every option of everything that is registered, with values that are no numbers, no texts, or out of all ranges."""

import inspect
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

import models
from snnprune import (
    InputError,
    allocation,
    budget,
    criteria,
    dead_neurons,
    effective_connectivity,
    geometry,
    methods,
    report,
    schedules,
    training,
)
from snnprune.connectivity import Connectivity
from snnprune.criteria.registry import CRITERIA
from snnprune.methods.given import parameters_of
from snnprune.options import Interval
from snnprune.runs.config import Config, Runtime

WRONG: dict[str, Any] = {
    "text": "much",
    "empty text": "",
    "list": [0.5],
    "empty list": [],
    "dict": {"a": "b"},
    "None": None,
    "object": object(),
    "vector": torch.tensor([0.5, 0.5]),
    "array": np.array([1, 2]),
    "meta tensor": torch.empty((), device="meta"),
    "complex": 1j,
    "large": 10**30,
    "negative large": -(10**30),
    "huge": 10**6000,
    "nan": float("nan"),
    "inf": float("inf"),
    "minus inf": -float("inf"),
    "minus one": -1,
    "zero": 0,
    "tiny": 1e-300,
    "half": 2.5,
    "True": True,
    "bytes": b"x",
    "class": int,
    "function": len,
    "generator": (part for part in ("0",)),
}
BATCH = (torch.rand(4, 6), torch.tensor([0, 1, 2, 3]))
SCORES = {"0.weight": torch.rand(8, 6), "2.weight": torch.rand(4, 8)}


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))


def needed(name: str) -> dict[str, Any]:
    """The options without which a method cannot be made."""
    takes = parameters_of(methods.find(name))
    given: dict[str, Any] = {"density": 0.5, "steps": 10, "batches": [BATCH]}
    if name == "fixed":
        return {"connectivity": Connectivity.dense(mlp())}
    return {option: value for option, value in given.items() if option in takes}


def make_method(name: str) -> Callable[..., object]:
    def make(**options: Any) -> object:
        network = mlp()
        given = {"network": network, "optimizer": SGD(network.parameters(), lr=0.1), **needed(name), **options}
        return methods.find(name)(**given)

    return make


def layered(**options: Any) -> object:
    return budget.to_chip(**{"layers": WIRED, "chip": budget.find_chip("loihi1"), "density": 0.5, **options})


def data() -> training.Data:
    return training.own_data(BATCH, BATCH)


NETWORK = mlp()
KEPT, SHAPES = Connectivity.dense(NETWORK), geometry(NETWORK)
WIRED = budget.wire(NETWORK, BATCH[0])
ALLOCATIONS = {
    **dict(allocation.ALLOCATIONS),
    **{name: getattr(allocation, name) for name in ("n_of_m", "fan_in_cap", "fan_out_cap", "balanced")},
}
OWN = {"n_of_m": {"n": 1, "m": 2}, "fan_in_cap": {"cap": 2}, "fan_out_cap": {"cap": 2}}
# Name -> what is called with keyword arguments, its signature, and arguments that it accepts.
CALLS: dict[str, tuple[Callable[..., object], Mapping[str, Any], Mapping[str, Any]]] = {
    **{f"method {name}": (make_method(name), parameters_of(methods.find(name)), {}) for name in methods.names()},
    "methods.create": (
        lambda **options: methods.create(
            **{"name": "gmp", "network": (n := mlp()), "optimizer": SGD(n.parameters(), lr=1.0), "steps": 9} | options
        ),
        inspect.signature(methods.create).parameters,
        {"density": 0.5},
    ),
    **{
        f"criterion {name}": (
            found.function,
            inspect.signature(found.function).parameters,
            {"network": NETWORK, "batches": [BATCH]},
        )
        for name, found in CRITERIA.items()
    },
    "criteria.score": (
        criteria.score,
        inspect.signature(criteria.score).parameters,
        {"criterion": "taylor", "network": NETWORK, "batches": [BATCH]},
    ),
    **{
        f"allocation {name}": (
            rule,
            inspect.signature(rule).parameters,
            {"scores": SCORES, "density": 0.5, "geometries": SHAPES, **OWN.get(name, {})},
        )
        for name, rule in ALLOCATIONS.items()
    },
    **{
        f"schedules.{kind.__name__}": (kind, inspect.signature(kind).parameters, {"density": 0.5, **own})
        for kind, own in (
            (schedules.OneShot, {"at": 4}),
            (schedules.Polynomial, {"end": 4}),
            (schedules.Rounds, {"end": 4, "rounds": 2}),
        )
    },
    **{
        function.__qualname__: (function, inspect.signature(function).parameters, given)
        for function, given in (
            (schedules.make, {"name": "cubic", "density": 0.5, "begin": 0, "end": 4}),
            (schedules.rounds_for, {"density": 0.5, "rate": 0.5}),
            (schedules.interval, {"steps": 5}),
            (schedules.hold_then_cosine, {"step": 1, "steps": 5, "hold": 0.5}),
            (allocation.per_layer, {"scores": SCORES, "densities": dict.fromkeys(SCORES, 0.5)}),
            (allocation.utilisation, {"connectivity": KEPT, "geometries": SHAPES}),
            (methods.shuffled, {"connectivity": KEPT}),
            (Connectivity.from_scores, {"scores": SCORES, "density": 0.5}),
            (effective_connectivity, {"network": NETWORK, "connectivity": KEPT, "example": BATCH[0]}),
            (dead_neurons, {"network": NETWORK, "connectivity": KEPT, "example": BATCH[0]}),
            (training.Recipe, {"epochs": 1}),
            (training.steps_in_epoch, {"data": data(), "batch_size": 2}),
            (training.calibration_batches, {"data": data(), "images": 2}),
            (training.own_data, {"train": BATCH, "evaluation": BATCH}),
            (budget.assess, {"network": NETWORK, "batches": [BATCH], "chips": []}),
            (budget.count_operations, {"network": NETWORK, "batches": [BATCH]}),
            (budget.Cost, {"name": "", "accumulate": 1, "multiply_accumulate": 1, "bits": 8, "source": ""}),
            (budget.wire, {"network": NETWORK, "example": BATCH[0]}),
            (budget.fit, {"layers": WIRED, "chip": budget.find_chip("loihi1")}),
            (report.plot_layers, {"connectivity": KEPT}),
            (report.plot_fans, {"connectivity": KEPT, "geometries": SHAPES}),
            (models.build, {"name": "digits-mlp"}),
            (geometry, {"network": NETWORK}),
            (methods.find, {"name": "gmp"}),
            (methods.needs, {"name": "gmp", "option": "density"}),
            (criteria.find, {"criterion": "snip"}),
            (allocation.find, {"allocation": "lamp"}),
            (training.find_loss, {"name": "mse"}),
            (training.augmentation, {"name": "none"}),
            (training.forward_of, {"network": NETWORK, "mode": "off", "steps": 1}),
            (KEPT.to, {"device": "cpu"}),
            (KEPT.diff, {"other": KEPT}),
            (KEPT.jaccard, {"other": KEPT}),
            (KEPT.apply_, {"network": NETWORK}),
            (Connectivity, {"masks": dict(KEPT)}),
            (Config, {}),
            (Runtime, {}),
        )
    },
    "budget.to_chip": (layered, inspect.signature(budget.to_chip).parameters, {}),
}
CASES = [
    pytest.param(call, option, id=f"{call}-{option}")
    for call, (_, takes, _) in CALLS.items()
    for option, parameter in takes.items()
    if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    and not (call == "Runtime" and option == "out")
]


@pytest.mark.parametrize(("call", "option"), CASES)
@pytest.mark.filterwarnings("ignore")
def test_a_wrong_value_is_taken_or_refused_in_one_line(call, option):
    function, _, given = CALLS[call]
    messages = []
    for kind, value in WRONG.items():
        try:
            function(**{**given, option: value})
        except InputError as error:
            messages.append(str(error))
        except Exception as error:
            raise AssertionError(f"{kind} for {option} of {call}: {type(error).__name__}: {error}") from error
    assert all("\n" not in message and len(message) < 1000 for message in messages)
    assert len(messages) >= 3, "an option that takes nearly everything is not checked"


def numbers_of(annotation: Any) -> tuple[type, Interval] | None:
    """int or float with its range, if an annotation declares a number."""
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    for part in (annotation, *parts):
        for entry in getattr(part, "__metadata__", ()):
            if isinstance(entry, Interval):
                return part.__origin__, entry
    return None


NUMBERS = [
    pytest.param(call, name, *found, id=f"{call}-{name}")
    for call, (_, takes, _) in CALLS.items()
    for name, parameter in takes.items()
    if (found := numbers_of(parameter.annotation))
]


@pytest.mark.parametrize(("call", "option", "kind", "interval"), NUMBERS)
@pytest.mark.filterwarnings("ignore")
def test_numbers_of_numpy_and_torch_are_numbers(call, option, kind, interval):
    function, _, given = CALLS[call]
    plain = next(value for value in (0.5, 1, 2, -1) if interval.holds(value) and (kind is float or value != 0.5))
    plain = given.get(option, plain)

    def outcome(value: object) -> str:
        try:
            function(**{**given, option: value})
        except InputError as error:  # of several options together, not of this number's type
            return str(error)
        return "taken"

    expected = outcome(plain)
    types = (np.int64, np.int32, np.uint8) if kind is int else (np.float64, np.float32, np.float16)
    for number in [*(of(plain) for of in types if plain >= 0), np.array(plain), torch.tensor(plain)]:
        assert outcome(number) == expected
