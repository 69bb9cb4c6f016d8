"""Methods by name. One file and one `register` line each; other packages register theirs in the same way."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_args

from torch import nn
from torch.optim import Optimizer

from ..criteria import Batches
from ..errors import InputError
from ..losses import Loss, mse
from .base import Rewiring

Method = TypeVar("Method", bound=type[Rewiring])
_METHODS: dict[str, type[Rewiring]] = {}


def register(name: str) -> Callable[[Method], Method]:
    """Class decorator that makes a method known under a name.

    Raises:
        InputError: the name is taken by another class.
    """

    def add(method: Method) -> Method:
        """Make it known; it stays what it was."""
        known = _METHODS.setdefault(name, method)
        if known is not method:
            raise InputError(f"the method name {name!r} is taken by {known.__module__}.{known.__qualname__}")
        return method

    return add


def names() -> list[str]:
    """The known method names, sorted."""
    return sorted(_METHODS)


def find(name: str) -> type[Rewiring]:
    """The class of a method: a registered name, or `package.module:Class` for one that is not registered.

    Raises:
        InputError: unknown name (the known ones are listed), or `package.module:Class` leads to no method.
    """
    if name in _METHODS:
        return _METHODS[name]
    module_name, colon, attribute = name.partition(":")
    if not colon:
        raise InputError(f"unknown method {name!r}: known are {', '.join(names())}, or package.module:Class")
    try:
        method = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"method {name!r} cannot be imported: {error}") from error
    if not (isinstance(method, type) and issubclass(method, Rewiring)):
        raise InputError(f"{name} is no snnprune.Rewiring: found {method!r}")
    return method


def needs(name: str, option: str) -> bool:
    """Whether a method must be given an option.

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
) -> Rewiring:
    """A method on a network and its optimizer.

    Args:
        name: as in `find`.
        network: the network whose synapses are rewired.
        optimizer: the one that trains it.
        steps: optimizer steps of the whole training, for the methods that follow a schedule.
        batches: (inputs, labels) from the training set, for the methods that look at data.
        loss: of outputs and labels, for the methods that take gradients of their own.
        seed: for the methods that draw.
        options: passed on; those that are None are left out.

    Raises:
        InputError: unknown name, or an option that the method does not take (those it takes are listed), lacks, or
            takes in another type.
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


# What a training gives to the methods that take it.
_CONTEXT = ("steps", "batches", "loss", "seed")


def _options_of(method: type[Rewiring]) -> dict[str, inspect.Parameter]:
    """What a method takes, with what it passes on to its base classes as **options."""
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
    """Make sure that an option is of the plain type, or of one of the plain types, that the method declares."""
    kinds = [kind for kind in (get_args(annotation) or (annotation,)) if kind is not type(None)]
    if not all(kind in (bool, int, float, str) for kind in kinds):
        return  # the method looks at it itself
    fitting = type(value) in kinds or (float in kinds and type(value) is int)
    if not fitting:
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise InputError(f"{method} takes a {wanted} as {option}, found {value!r}")
