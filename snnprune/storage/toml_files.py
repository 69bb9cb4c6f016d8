"""TOML files, with limits that are checked before they are parsed: the parser of Python has none."""

import re
import tomllib
from typing import Any

from ..errors import InputError
from .json_files import check_depth, check_number
from .opening import PathLike, read_text

# The largest protocol of this repository has 2,000 bytes.
_LIMIT = 64_000
_DEEPEST = 32  # arrays and inline tables in one another
_MOST_PARTS = 16  # of a dotted key; the parser's memory grows with their square
_MOST_DIGITS = 100

# Texts and comments, in which dots and brackets mean nothing. The repetitions are possessive, so that no text, however
# it is made, is looked at twice; what has no end is taken to the end of its line, or of the file if it may have lines.
_TEXTS = re.compile(
    r'"""(?:\\.|[^"\\]|"(?!""))*+(?:"{3,5})?'
    r"|'''(?:[^']|'(?!''))*+(?:'{3,5})?"
    r'|"(?:\\[^\n]|[^"\\\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+",
    re.DOTALL,
)
_KEY = re.compile(r"[\w\-. \t]+")


def read_toml(path: PathLike, *, what: str = "TOML file") -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises:
        MissingFile: nothing is there.
        InputError: as `read_text` and `parse_toml`.
    """
    return parse_toml(read_toml_text(path, what=what), where=str(path))


def read_toml_text(path: PathLike, *, what: str = "TOML file") -> str:
    """Return the text of a TOML file; errors as `read_text`."""
    return read_text(path, limit=_LIMIT, what=what)


def parse_toml(text: str, *, where: str) -> dict[str, Any]:
    """Return the content of a TOML text.

    Args:
        text: of the file.
        where: its path, for the message.

    Raises:
        InputError: not TOML, numbers that are not finite or have more than 64 bits, or too large or deep.
    """
    if len(text) > _LIMIT:
        raise InputError(f"{where} has more than {_LIMIT:,} characters, too many for a TOML file: give another")
    _check_structure(text, where)
    try:
        content = tomllib.loads(text, parse_float=_number)
        _check_integers(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not TOML: {error}") from error
    check_depth(content, where=where)
    return content


def _check_structure(text: str, where: str) -> None:
    bare = _TEXTS.sub("s", text.replace("\r\n", "\n"))
    parts = 1 + max((key.count(".") for key in _KEY.findall(bare)), default=0)
    if parts > _MOST_PARTS:
        raise InputError(f"{where} has a key of {parts:,} parts, more than {_MOST_PARTS}: that is no file of this kind")
    digits = max(map(len, re.findall(r"[0-9_]+", bare)), default=0)
    if digits > _MOST_DIGITS:
        raise InputError(f"{where} has a number of {digits:,} digits, more than {_MOST_DIGITS}: give fewer")
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", bare):
        depth += 1 if bracket in "[{" else -1
        if depth > _DEEPEST:
            raise InputError(f"{where} is nested more than {_DEEPEST} levels deep: that is no file of this kind")


def _check_integers(content: Any) -> None:
    """Check all numbers, without recursion."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, int):
            check_number(value)


def _number(text: str) -> int | float:
    return check_number(float(text))
