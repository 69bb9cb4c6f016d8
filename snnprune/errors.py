"""The exceptions of this library: wrong input, and a run that was stopped; and values in their messages."""

import reprlib
from collections.abc import Iterable
from numbers import Number
from pathlib import Path
from types import NoneType
from typing import Any

# A longer line is shortened in its middle: the value that was found may be of any size.
_LONGEST = 2_000


_SHOWN = (NoneType, Number, str, bytes, list, tuple, dict, set, Path)
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60


def shortened(value: Any) -> str:
    """Return a value for a message, in one line of about 60 characters; of other objects the name of their type."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"{type(value).__name__} of shape {list(shape)}"[:80]
    if isinstance(value, int) and value.bit_length() > 200:  # Python refuses to print far longer ones
        return f"an integer of {value.bit_length()} bits"
    if not isinstance(value, _SHOWN):
        return getattr(value, "__name__", None) or type(value).__name__
    try:
        return " ".join(_SHORT.repr(value).split())[:200]
    except ValueError:  # an integer in a list that is too long to print
        return type(value).__name__


def printable(text: str, *, keep: str = "") -> str:
    """Return text without characters on which a terminal acts; each is written as its escape, such as \\x1b.

    Args:
        text: any text, such as a name from a file.
        keep: characters that stay, such as "\\n".
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escape(char) for char in text)


class _Line(Exception):
    """An exception whose text is one line for each argument: what a file or a name holds cannot add others."""

    def __str__(self) -> str:
        return "\n".join(_shortened(printable(str(argument))) for argument in self.args)


class InputError(_Line, ValueError):
    """Input that cannot be used. The message is one line: what is wrong, what was found, what to do.

    Scripts print that line and exit with status 2. Any other exception is a bug of this library. Further arguments are
    further lines, such as the runs that failed. Control characters are shown as escapes.
    """


class SilentLayers(InputError):
    """Layers of which a criterion can say nothing: no spike, or no gradient, reaches them.

    Attributes:
        names: their parameters.
    """

    def __init__(self, message: str, names: Iterable[str]) -> None:
        super().__init__(message)
        self.names = tuple(names)


class Stopped(_Line):
    """A run was stopped before its end and can be resumed; the message says how."""


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _shortened(line: str) -> str:
    if len(line) <= _LONGEST:
        return line
    return f"{line[: _LONGEST - 600]} [...] {line[-500:]}"
