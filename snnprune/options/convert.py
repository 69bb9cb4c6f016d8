"""Conversion of a value to the type that an annotation declares."""

import math
import operator
from collections.abc import Callable, Iterable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from .declared import Converted, Interval

# The largest integer that a tensor holds.
LARGEST_INTEGER = 2**63 - 1
# Size of numbers that have no other bound: products and quotients of two of them are finite, and not 0, in float32.
LARGEST, SMALLEST = 1e18, 1e-18

# Words of messages for types whose name says too little.
_WORDS = {
    "Module": "a torch module",
    "Optimizer": "a torch optimizer",
    "Tensor": "a tensor",
    "LRScheduler": "a torch scheduler",
    "Mapping": "a mapping",
    "dict": "a mapping",
    "PathLike": "a path",
    "Sequence": "a list",
    "list": "a list",
    "Iterable": "a list",
    "Iterator": "an iterator",
    "tuple": "a tuple",
    "type": "a class",
    "str": "text",
    "bool": "True or False",
}


class Unfit(Exception):
    """A value is of another type or range; the message is what is wanted: "in (0, 1]", "a whole number"."""


def convert(value: Any, annotation: Any) -> Any:
    """Return a value as its annotation declares it.

    Numbers of numpy, and arrays and tensors without dimensions, become Python numbers; a generator for an Iterable
    becomes a tuple. A bool is never a number, and numbers are finite. An annotation that is not known here (Any, a type
    variable) admits everything.

    Raises:
        Unfit: another type, or out of range.
    """
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _annotated(value, *parts)
    if origin in (Union, UnionType):
        return _one_of(value, [part for part in parts if part is not NoneType], optional=NoneType in parts)
    if origin is Literal:
        return _choice(value, parts)
    if annotation in (int, float):
        return _number(value, annotation, Interval())
    if annotation is bool:
        value = _item(value)
    if origin is Callable or annotation is Callable:
        return _instance(value, callable(value), "a function")
    kind = annotation if origin is None else origin
    if not isinstance(kind, type) or kind in (object, NoneType):
        return value
    try:
        fits = isinstance(value, kind)
    except TypeError:  # a protocol that cannot be asked for at run time
        return value
    if isinstance(value, str | bytes) and _is_iterable(kind):
        fits = False  # text is a sequence of texts, which is never what was meant
    if fits and kind is Iterable and isinstance(value, Iterator):
        return tuple(value)  # which can be read more than once
    return _instance(value, fits, _WORDS.get(kind.__name__, f"a {kind.__name__}"))


def _annotated(value: Any, kind: Any, *declared: Any) -> Any:
    for entry in declared:
        if isinstance(entry, Converted):
            return entry.function(value)
        if isinstance(entry, Interval):
            return _number(value, kind, entry)
    return convert(value, kind)


def _one_of(value: Any, kinds: list[Any], *, optional: bool) -> Any:
    if value is None and optional:
        return None
    wanted = []
    for kind in kinds:
        try:
            return convert(value, kind)
        except Unfit as unfit:
            wanted.append(str(unfit))
    raise Unfit(" or ".join(dict.fromkeys(wanted)))


def _choice(value: Any, choices: tuple[Any, ...]) -> Any:
    if type(value) in map(type, choices) and value in choices:
        return value
    if len(choices) == 2:
        raise Unfit(" or ".join(map(repr, choices)))
    raise Unfit(f"one of {', '.join(map(str, choices))}")


def _instance(value: Any, fits: bool, wanted: str) -> Any:
    if not fits:
        raise Unfit(wanted)
    return value


def _is_iterable(kind: type) -> bool:
    return kind is not str and kind is not object and hasattr(kind, "__iter__") and kind.__module__ != "builtins"


# --- Numbers


def _number(value: Any, kind: type, interval: Interval) -> Any:
    """Return a number as int or float, within the interval."""
    plain = _item(value)
    number = _integer(plain, interval) if kind is int else _float(plain, interval)
    if not (interval.holds(number) and abs(number) < math.inf):
        raise Unfit(str(interval))
    if kind is int and abs(number) > LARGEST_INTEGER:
        raise Unfit(f"at most {LARGEST_INTEGER}")
    if kind is float and (interval.start is None or interval.stop is None):
        _check_size(number)
    return number


def _item(value: Any) -> Any:
    """Return the Python number in a number of numpy, or in an array or tensor without dimensions."""
    if getattr(value, "shape", None) != () or not callable(getattr(value, "item", None)):
        return value
    try:
        return value.item()
    except (RuntimeError, TypeError, ValueError, NotImplementedError):  # such as a tensor on the device "meta"
        return value


def _integer(value: Any, interval: Interval) -> int:
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise Unfit(interval.words or "a whole number")


def _float(value: Any, interval: Interval) -> float:
    known = interval.words or ("a number" if interval.start is None or interval.stop is None else str(interval))
    if isinstance(value, bool | str | bytes | complex) or not hasattr(value, "__float__"):
        raise Unfit(known)
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise Unfit(str(interval)) from None


def _check_size(number: float) -> None:
    if abs(number) > LARGEST:
        raise Unfit(f"at most {LARGEST:g} in size")
    if 0 < abs(number) < SMALLEST:
        raise Unfit(f"0, or at least {SMALLEST:g} in size")
