"""Values in messages; tables as plain text, and as HTML for notebooks."""

import reprlib
from collections.abc import Collection, Sequence
from html import escape
from numbers import Number
from pathlib import Path
from types import NoneType
from typing import Any

from .errors import printable

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


def aligned(rows: Sequence[Sequence[str]], *, left: Collection[int] = (0,)) -> str:
    """Return rows of text with aligned columns; a cell is one line, control characters are shown as escapes.

    Args:
        rows: cells, the heads first.
        left: indices of the columns that are aligned to the left; the others are aligned to the right.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def html_table(rows: Sequence[Sequence[str]], *, left: Collection[int] = (0,)) -> str:
    """Return the rows as an HTML table, escaped; arguments as in `aligned`."""
    lines = []
    for index, row in enumerate(rows):
        kind = "th" if index == 0 else "td"
        cells = (
            f"<{kind} style='text-align:{'left' if column in left else 'right'}'>{escape(cell)}</{kind}>"
            for column, cell in enumerate(row)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><thead>{lines[0]}</thead><tbody>{''.join(lines[1:])}</tbody></table>"
