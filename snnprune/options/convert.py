"""Conversion of a value to the type that an annotation declares."""

import inspect
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    """A value is of another type or range; the message is what is wanted: "in (0, 1]", "a whole number".

    Attributes:
        entry: of the mapping or sequence that does not fit, such as "['fc1']"; "" if it is the value itself.
        value: that entry.
    """

    def __init__(self, wanted: str, entry: str = "", value: Any = None) -> None:
        super().__init__(wanted)
        self.entry = entry
        self.value = value


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
    if kind_of(annotation) is Callable:
        return _function(value, parts)
    kind = kind_of(annotation)
    if not isinstance(kind, type) or kind in (object, NoneType):
        return value
    wanted = _WORDS.get(kind.__name__, f"a {kind.__name__}")
    try:
        fits = isinstance(value, kind)
    except TypeError:  # a protocol that cannot be asked for at run time
        return value
    if not fits or (_is_collection(kind) and not _is_iterable(value)):
        raise Unfit(wanted)
    if kind is Iterable and isinstance(value, Iterator):
        return tuple(value)  # which can be read more than once
    if kind in (Sequence, Mapping) and parts:
        return _entries(value, parts[-1])
    return value


def kind_of(annotation: Any) -> Any:
    """Return the class of an annotation without its parameters: Mapping for Mapping[str, float]."""
    return annotation if get_origin(annotation) is None else get_origin(annotation)


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
            if unfit.entry:
                raise
            wanted.append(str(unfit))
    raise Unfit(" or ".join(dict.fromkeys(wanted)))


def _choice(value: Any, choices: tuple[Any, ...]) -> Any:
    if type(value) in map(type, choices) and value in choices:
        return value
    if len(choices) == 2:
        raise Unfit(" or ".join(map(repr, choices)))
    raise Unfit(f"one of {', '.join(map(str, choices))}")


def _function(value: Any, parts: tuple[Any, ...]) -> Any:
    """Return a function, after a check of the number of arguments that it takes, if that is declared and known."""
    if not callable(value):
        raise Unfit("a function")
    if parts and isinstance(parts[0], list):
        try:
            inspect.signature(value).bind(*parts[0])
        except TypeError:
            raise Unfit(f"a function of {len(parts[0])} arguments") from None
        except ValueError:
            pass  # a function that is not written in Python may not say
    return value


def _entries(value: Any, annotation: Any) -> Any:
    """Return a sequence, or a mapping, with its entries, or values, converted; the same object if none changes."""
    named = value if isinstance(value, Mapping) else dict(enumerate(value))
    converted = {}
    for name, entry in named.items():
        try:
            converted[name] = convert(entry, annotation)
        except Unfit as unfit:
            raise Unfit(str(unfit), f"[{name!r}]"[:60] + unfit.entry, unfit.value if unfit.entry else entry) from None
    if all(converted[name] is entry for name, entry in named.items()):
        return value
    return converted if isinstance(value, Mapping) else tuple(converted.values())


def _is_collection(kind: type) -> bool:
    return kind in (Iterable, Sequence, Mapping, list, tuple)


def _is_iterable(value: Any) -> bool:
    """Return whether a value can be iterated over; text can, but a text of texts is never what was meant."""
    try:
        iter(value)
    except TypeError:  # such as a tensor without dimensions
        return False
    return not isinstance(value, str | bytes)


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
