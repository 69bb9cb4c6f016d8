"""The decorator that checks arguments, and the same for the fields of a dataclass."""

import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar, cast, get_args

from ..errors import InputError, shortened
from .convert import Unfit, convert
from .declared import Interval

F = TypeVar("F", bound=Callable[..., Any])

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (*_POSITIONAL, inspect.Parameter.KEYWORD_ONLY)


def checked(function: F) -> F:
    """Return a function that checks and converts its arguments by their annotations before it runs.

    Defaults are not checked. The signature stays as it is.

    Raises:
        InputError: (the returned function) an argument that its annotation does not admit.
    """
    parameters = inspect.signature(function).parameters.values()
    order = [parameter.name for parameter in parameters if parameter.kind in _POSITIONAL]
    declared = {
        parameter.name: parameter.annotation
        for parameter in parameters
        if parameter.kind in _NAMED and parameter.annotation is not inspect.Parameter.empty
    }

    def taken(name: str, value: Any) -> Any:
        if isinstance(declared.get(name), str):  # its names may be defined only after this function
            declared[name] = _evaluated(declared[name], function)
        return check(name, value, declared[name]) if name in declared else value

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        # Too many, missing and unknown arguments are left to the function, whose messages are Python's own.
        first = [taken(name, value) for name, value in zip(order, args, strict=False)]
        return function(*first, *args[len(first) :], **{name: taken(name, value) for name, value in kwargs.items()})

    return cast(F, call)


def check_fields(instance: Any, *, label: Callable[[str], str] = str) -> None:
    """Check and convert the fields of a dataclass by their annotations; for its `__post_init__`.

    Args:
        instance: of a dataclass, frozen or not.
        label: returns the name of a field for messages, such as "--seed".

    Raises:
        InputError: a value that the annotation of its field does not admit.
    """
    for entry in fields(instance):
        value = check(label(entry.name), getattr(instance, entry.name), entry.type)
        object.__setattr__(instance, entry.name, value)


def check(name: str, value: Any, annotation: Any) -> Any:
    """Return a value as its annotation declares it; `convert` with an error that names the argument.

    Raises:
        InputError: the value does not fit: what is wanted, and what was found.
    """
    try:
        return convert(value, annotation)
    except Unfit as unfit:
        role, wanted = _role_of(annotation), str(unfit)
        subject = f"{name}, {role}," if role else name + unfit.entry
        # After a comma a semicolon reads better; those in "(0, 1]" and between choices do not count.
        several = "," in re.sub(r"[\[(].*?[\])]", "", wanted) and not wanted.startswith("one of")
        mark = ";" if role or several else ","
        raise InputError(
            f"{subject} must be {wanted}{mark} found {shortened(unfit.value if unfit.entry else value)}"
        ) from None


def _evaluated(annotation: str, function: Callable[..., Any]) -> Any:
    """Return the object of an annotation that is text; Any if it is known to type checkers alone."""
    try:
        return eval(annotation, getattr(inspect.unwrap(function), "__globals__", {}))
    except Exception:
        return Any


def _role_of(annotation: Any) -> str:
    """Return the role of the first interval in an annotation."""
    for part in (annotation, *get_args(annotation)):
        for entry in getattr(part, "__metadata__", ()):
            if isinstance(entry, Interval) and entry.role:
                return entry.role
    return ""
