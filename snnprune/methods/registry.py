"""Methods by name. Each registers itself; other packages register theirs in the same way."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_args

from torch import nn
from torch.optim import Optimizer

from ..errors import InputError
from ..losses import Loss, mse
from ..probe import Batches
from ..registry import Registry, load_attribute
from .base import Method

Kind = TypeVar("Kind", bound=type[Method])
METHODS: Registry[type[Method]] = Registry("method", hint="or package.module:Class")

# Arguments that a training gives to the methods that take them.
_CONTEXT = ("steps", "batches", "loss", "seed")


def register(name: str) -> Callable[[Kind], Kind]:
    """Class decorator that makes a method known under a name.

    Raises:
        InputError: the name is taken by another class.
    """
    return METHODS.register(name)


def names() -> list[str]:
    """The known method names, sorted."""
    return METHODS.names()


def find(name: str) -> type[Method]:
    """The class of a method: a registered name, or `package.module:Class` for one that is not registered.

    Raises:
        InputError: unknown name (the known ones are listed), or `package.module:Class` does not lead to a method.
    """
    if name in METHODS or ":" not in name:
        return METHODS.find(name)
    method = load_attribute(name, "method")
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise InputError(f"method {name} must be a snnprune.Method: found {method!r}")
    return method


def needs(name: str, option: str) -> bool:
    """Whether an option of a method has no default.

    Raises:
        InputError: as `find`.
    """
    takes = _options_of(find(name))
    return option in takes and takes[option].default is inspect.Parameter.empty


def create(
    name: str,
    network: nn.Module,
    optimizer: Optimizer,
    *,
    steps: int,
    batches: Batches = (),
    loss: Loss = mse,
    seed: int = 0,
    **options: Any,
) -> Method:
    """A method on a network and its optimizer.

    Args:
        name: as in `find`.
        network: the network whose connectivity is decided.
        optimizer: the one that trains it.
        steps: optimizer steps of the whole training, for the methods that follow a schedule.
        batches: (inputs, labels) from the training set, for the methods that look at data.
        loss: of outputs and labels, for the methods that take gradients of their own.
        seed: for the methods that draw.
        options: passed on; those that are None are left out.

    Raises:
        InputError: unknown name, or an option that the method does not take (those it takes are listed), needs and is
            not given, or takes in another type.
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
        raise InputError(f"{name} needs {', '.join(missing)}")
    for option, value in given.items():
        if option in own:
            _check_type(name, option, value, takes[option].annotation)
    return method(network, optimizer, **given)


def _options_of(method: type[Method]) -> dict[str, inspect.Parameter]:
    """The parameters of a method, with those that it passes on to its base classes as **options."""
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


def _check_type(method: str, option: str, value: Any, annotation: Any) -> None:
    """Make sure that an option has one of the plain types that the method declares."""
    kinds = [kind for kind in (get_args(annotation) or (annotation,)) if kind is not type(None)]
    if not all(kind in (bool, int, float, str) for kind in kinds):
        return  # the method checks it itself
    fitting = type(value) in kinds or (float in kinds and type(value) is int)
    if not fitting:
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise InputError(f"{method} takes a {expected} as {option}, found {value!r}")
