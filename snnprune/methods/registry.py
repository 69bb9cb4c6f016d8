"""Methods by name, and the call that makes one. Other packages register methods in the same way."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn
from torch.optim import Optimizer

from ..errors import InputError
from ..losses import Loss, mse
from ..options import Seed, Steps, checked
from ..probe import Batches
from ..registry import Registry, load_attribute
from .base import Method

Kind = TypeVar("Kind", bound=type[Method])
METHODS: Registry[type[Method]] = Registry("method", hint="or package.module:Class")

# Arguments of `create` that are passed only to methods that take them.
_CONTEXT = ("steps", "batches", "loss", "seed")


def register(name: str) -> Callable[[Kind], Kind]:
    """Return a class decorator that registers a method under a name.

    Raises:
        InputError: the name is taken by another class.
    """
    return METHODS.register(name)


def names() -> list[str]:
    """Return the known method names, sorted."""
    return METHODS.names()


@checked
def find(name: str) -> type[Method]:
    """Return the class of a method by its registered name, or by `package.module:Class`.

    Raises:
        InputError: unknown name (the known ones are listed), or `package.module:Class` is not a method.
    """
    if name in METHODS or ":" not in name:
        return METHODS.find(name)
    method = load_attribute(name, "method")
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise InputError(f"method {name} must be a subclass of snnprune.Method, found {method!r}")
    return method


@checked
def needs(name: str, option: str) -> bool:
    """Return whether a method has this option, without a default.

    Raises:
        InputError: as `find`.
    """
    takes = _options_of(find(name))
    return option in takes and takes[option].default is inspect.Parameter.empty


@checked
def create(
    name: str,
    network: nn.Module,
    optimizer: Optimizer,
    *,
    steps: Steps,
    batches: Batches = (),
    loss: Loss = mse,
    seed: Seed = 0,
    **options: Any,
) -> Method:
    """Make a method on a network and its optimizer.

    Args:
        name: as in `find`.
        network: the network whose connectivity is decided.
        optimizer: the optimizer that trains it.
        steps: optimizer steps of the whole training, for methods with a schedule.
        batches: (inputs, labels) from the training set, for methods that need data.
        loss: of outputs and labels, for methods that compute gradients of their own.
        seed: for methods that draw random numbers.
        options: of the method; those that are None are left out.

    Raises:
        InputError: unknown name, an option that the method does not take (its options are listed), a missing option, or
            one of another type or outside its range.
    """
    method = find(name)
    takes = _options_of(method)
    given: dict[str, Any] = {option: value for option, value in options.items() if value is not None}
    own = [option for option in takes if option not in ("network", "optimizer", *_CONTEXT)]
    if unknown := [option for option in given if option not in takes]:
        raise InputError(f"{name} does not take {', '.join(unknown)}: it takes {', '.join(own) or 'no options'}")
    context = dict(zip(_CONTEXT, (steps, batches, loss, seed), strict=True))
    given = {option: value for option, value in context.items() if option in takes} | given
    required = [option for option in own if takes[option].default is inspect.Parameter.empty]
    if missing := [option for option in required if option not in given]:
        raise InputError(f"{name} needs {', '.join(missing)}: give a value")
    return method(network, optimizer, **given)


def _options_of(method: type[Method]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a method, with those that it passes on to its base classes as **options."""
    takes: dict[str, inspect.Parameter] = {}
    for kind in method.__mro__:
        if "__init__" not in vars(kind):
            continue
        parameters = inspect.signature(kind).parameters
        named = {n: p for n, p in parameters.items() if p.kind is not inspect.Parameter.VAR_KEYWORD}
        takes = {**named, **takes}
        if len(named) == len(parameters):
            break
    return takes
