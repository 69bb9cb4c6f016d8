"""An optimizer's state as named tensors and numbers, and the check of a state that is loaded."""

import copy
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

States = dict[int, dict[str, Any]]


def split_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split an optimizer's state into tensors and values for JSON, both by `<index of the parameter>/<key>`."""
    tensors, numbers = {}, {}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            (tensors if isinstance(value, Tensor) else numbers)[f"{index}/{key}"] = value
    return tensors, numbers


def join_state(tensors: Mapping[str, Tensor], numbers: Mapping[str, Any], optimizer: Optimizer) -> States:
    """Return index -> key -> value, all checked: what `load_state` takes.

    Raises:
        ValueError: a state that this optimizer would not have made.
    """
    parameters = _parameters(optimizer)
    states: States = {}
    for name, value in {**tensors, **numbers}.items():
        index, _, key = name.partition("/")
        if not (index.isascii() and index.isdigit() and int(index) < len(parameters) and key):
            raise ValueError(f"is of another optimizer: {name} in one of {len(parameters)} parameters")
        states.setdefault(int(index), {})[key] = value
    for index, state in states.items():
        _check_values(index, state)
        group, parameter = parameters[index]
        if (expected := _made_by(optimizer, group, parameter)) is not None:
            _check_kinds(index, state, expected)
    return states


def load_state(optimizer: Optimizer, states: States) -> None:
    """Give an optimizer the state of `join_state`."""
    parameters = _parameters(optimizer)
    for index, state in states.items():
        _, parameter = parameters[index]
        for key, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # Fused optimizers need the memory layout of the parameter (channels last), which a file does not keep.
                state[key] = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})


def _parameters(optimizer: Optimizer) -> list[tuple[dict[str, Any], Tensor]]:
    return [(group, parameter) for group in optimizer.param_groups for parameter in group["params"]]


def _check_values(index: int, state: Mapping[str, Any]) -> None:
    for key, value in state.items():
        if isinstance(value, Tensor) and value.is_floating_point() and bool(value.isnan().any()):
            raise ValueError(f"holds nan in the optimizer's {index}/{key}: use an earlier copy")
    step = state.get("step", 0)
    single = step.item() if isinstance(step, Tensor) and step.numel() == 1 else step
    if type(single) not in (int, float) or not (0 <= single < math.inf and single == int(single)):
        raise ValueError(f"is damaged: the optimizer's {index}/step must be a number of steps, found {single}")


def _check_kinds(index: int, state: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    found, made = (  # None says no more than a key that is missing
        {key: _kind(value) for key, value in values.items() if value is not None} for values in (state, expected)
    )
    for key in sorted(found.keys() | made.keys()):
        if found.get(key) != made.get(key):
            there, wanted = (values.get(key, "absent") for values in (found, made))
            raise ValueError(f"is of another optimizer: {index}/{key} is {there} in the file and {wanted} here")


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)}"
    return type(value).__name__


def _made_by(optimizer: Optimizer, group: dict[str, Any], parameter: Tensor) -> dict[str, Any] | None:
    """Return the state that an optimizer makes for a parameter: that of one step of a copy on a tensor in its place.

    None where that is not known: an optimizer from elsewhere may add to its state in any later step, and some of torch
    make their state otherwise.
    """
    if not type(optimizer).__module__.startswith("torch.optim"):
        return None
    stand_in = torch.zeros_like(parameter, requires_grad=True)
    stand_in.grad = torch.ones_like(parameter)
    trial = copy.copy(optimizer)  # without hooks, and with the step of its class
    trial.state = defaultdict(dict)
    trial.param_groups = [{**group, "params": [stand_in]}]
    try:
        with torch.random.fork_rng([parameter.device] if parameter.is_cuda else []):
            trial.step()
    except Exception:  # an optimizer that needs a closure, sparse gradients, a state of its constructor
        return dict(optimizer.state.get(parameter, {})) or None
    return dict(trial.state[stand_in])
