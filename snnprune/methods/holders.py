"""Which method holds which weights: a weight has one method at a time, whatever optimizer trains it."""

import gc
from collections.abc import Mapping
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from torch import nn

from ..errors import InputError

if TYPE_CHECKING:
    from .attachment import Attached

# Identity of a parameter -> the method that holds it. A method keeps its parameters alive, so that an identity is not
# used again while its entry exists.
_HOLDERS: "WeakValueDictionary[int, Attached]" = WeakValueDictionary()


def check_free(parameters: Mapping[str, nn.Parameter]) -> None:
    """Make sure that no method holds these weights.

    Raises:
        InputError: one does; its class and the weights are named.
    """
    if _held(parameters):
        # A method and its optimizer refer to each other: those that nobody uses any more may still be waiting for
        # Python's collector, for instance after a cell of a notebook was run again.
        gc.collect()
    if held := _held(parameters):
        names = [name for name, parameter in parameters.items() if id(parameter) in _HOLDERS]
        raise InputError(
            f"{type(held[0]).__name__} holds these synapses already ({', '.join(names)}), through its optimizer "
            f"{type(held[0].optimizer).__name__}: call its detach() or finalize() first"
        )


def hold(method: "Attached") -> None:
    """Note that a method holds its parameters, until `release`."""
    for parameter in method.parameters.values():
        _HOLDERS[id(parameter)] = method


def release(method: "Attached") -> None:
    """Forget that a method holds its parameters."""
    for parameter in method.parameters.values():
        if _HOLDERS.get(id(parameter)) is method:
            del _HOLDERS[id(parameter)]


def _held(parameters: Mapping[str, nn.Parameter]) -> "list[Attached]":
    found = (_HOLDERS.get(id(parameter)) for parameter in parameters.values())
    return [method for method in found if method is not None]
