"""JSON as text and as files: no NaN, no key twice, nothing so large or so deep that reading it hurts."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from .atomic import write_text
from .opening import TEXT_LIMIT, PathLike, read_text

# Values in a text, bounded by its commas and opening brackets; each takes about 100 bytes of memory.
MOST_VALUES = 250_000
DEEPEST = 64
# Integers of a file must fit in 64 bits, as torch's and numpy's do.
_LARGEST = 2**63
_MOST_DIGITS = 20


def parse_json(text: str, *, where: str) -> Any:
    """Return the content of a JSON text.

    Args:
        text: of the file.
        where: its path, or another name for the message.

    Raises:
        InputError: not JSON, a key twice, NaN or infinity, an integer of more than 64 bits, or too large or deep.
    """
    if text.count(",") + text.count("[") + text.count("{") > MOST_VALUES:
        raise InputError(f"{where} has more than {MOST_VALUES:,} values: that is no file of this library")
    hooks = {"object_pairs_hook": _object, "parse_constant": _constant, "parse_int": _integer, "parse_float": _number}
    try:
        content = json.loads(text, **hooks)
    except RecursionError as error:
        raise InputError(f"{where} is nested more than {DEEPEST} levels deep: use another copy") from error
    except ValueError as error:
        raise InputError(f"{where} is not JSON: {error}") from error
    check_depth(content, where=where)
    return content


def read_json(path: PathLike, *, limit: int = TEXT_LIMIT, what: str = "file") -> Any:
    """Return the content of a JSON file.

    Raises:
        MissingFile: nothing is there.
        InputError: as `read_text` and `parse_json`.
    """
    return parse_json(read_text(path, limit=limit, what=what), where=str(path))


def read_object(path: PathLike, *, limit: int = TEXT_LIMIT, what: str = "file") -> dict[str, Any]:
    """Return the content of a JSON file that holds an object.

    Raises:
        MissingFile: nothing is there.
        InputError: as `read_json`, or no object.
    """
    content = read_json(path, limit=limit, what=what)
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged: expected a JSON object, found {type(content).__name__}; use another copy")
    return content


def json_text(content: Any, *, where: str, indent: int | None = None) -> str:
    """Return content as JSON, in one line unless `indent` is given.

    Raises:
        InputError: it holds NaN or infinity, which JSON has not, or objects.
    """
    try:
        return json.dumps(content, indent=indent, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where} cannot be written as JSON: {error}") from error


def write_json(path: PathLike, content: Any, *, indent: int = 2) -> None:
    """Write a JSON file atomically.

    Raises:
        InputError: as `json_text`, or the file cannot be written there.
    """
    write_text(path, json_text(content, where=str(path), indent=indent) + "\n")


def finite(content: Any) -> Any:
    """Return plain content with None in place of NaN and infinity, which JSON has not."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return content


def canonical_json(content: Any) -> str:
    """Return the same text for equal content: keys sorted, and 1 and 1.0 alike."""
    return json.dumps(_canonical(content), sort_keys=True, allow_nan=False)


def check_depth(content: Any, *, where: str) -> None:
    """Make sure that content can be walked through without a deep recursion.

    Raises:
        InputError: more than `DEEPEST` levels.
    """
    level, depth = [content], 0
    while level := [entry for value in level for entry in _entries(value)]:
        depth += 1
        if depth > DEEPEST:
            raise InputError(f"{where} is nested more than {DEEPEST} levels deep: use another copy")


def check_number(value: int | float) -> int | float:
    """Return a number of a file.

    Raises:
        ValueError: NaN, infinity, or an integer of more than 64 bits.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no finite number")
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise ValueError("an integer of more than 64 bits")
    return value


def _canonical(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {str(key): _canonical(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_canonical(value) for value in content]
    if isinstance(content, float) and content.is_integer():
        return int(content)
    return content


def _entries(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice!r} is there twice")
    return content


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _integer(digits: str) -> int | float:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"an integer of {len(digits):,} digits")
    return check_number(int(digits))


def _number(text: str) -> int | float:
    return check_number(float(text))
