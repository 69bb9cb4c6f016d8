"""The options that a method was made with: its parameters by name, and their plain values, which are saved with it."""

import inspect
import json
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

# Options that a saved state need not agree with: what they decide is in the state itself, or is no value.
_NOT_COMPARED = ("network", "optimizer", "batches", "loss", "connectivity", "exclude", "include", "density")


def parameters_of(method: type) -> dict[str, inspect.Parameter]:
    """Return the parameters of a method, with those that it passes on to its base classes as **options."""
    takes: dict[str, inspect.Parameter] = {}
    for kind in method.__mro__:
        if "__init__" not in vars(kind):
            continue
        parameters = inspect.signature(kind.__init__).parameters
        named = {n: p for n, p in parameters.items() if p.kind is not p.VAR_KEYWORD and n != "self"}
        takes = {**named, **takes}
        if len(named) == len(parameters) - 1:
            break
    return takes


def plain_options(method: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a method that are numbers, texts, or None, with their defaults; a JSON object."""
    values = {n: p.default for n, p in parameters_of(method).items() if p.default is not p.empty} | dict(given)
    plain = {name: _plain(value) for name, value in values.items() if name not in _NOT_COMPARED}
    return {name: value for name, value in sorted(plain.items()) if value is not ...}


def different_options(saved: Mapping[str, Any], own: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (name, saved value, own value) for each option in both that differs."""
    return [(name, saved[name], own[name]) for name in saved if name in own and saved[name] != own[name]]


def to_json(options: Mapping[str, Any]) -> str:
    """Return plain options as JSON."""
    return json.dumps(options, sort_keys=True)


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it; `...` for an object that it cannot."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        entries = {str(name): _plain(entry) for name, entry in value.items()}
        return ... if ... in entries.values() else entries
    return ...
