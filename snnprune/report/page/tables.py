"""HTML tables that can be sorted, and read on a narrow screen."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple


class Cell(NamedTuple):
    """One cell.

    Attributes:
        html: its content, escaped.
        value: by which it is sorted; None: its text.
        kind: class of the cell: "number", "text" or "".
    """

    html: str
    value: float | None = None
    kind: str = ""


def number(value: float, text: str | None = None) -> Cell:
    """A number, as shown and as sorted."""
    return Cell(f"{value:,.0f}" if text is None else text, value, "number")


def lines(texts: Sequence[str]) -> Cell:
    """Several texts, a line each."""
    return Cell("<br>".join(map(escape, texts)), kind="text" if texts else "")


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], *, name: str, stack: bool = False) -> str:
    """A table in a box that scrolls sideways if it must.

    Args:
        heads: of the columns; "" cannot be sorted by.
        rows: cells, as many as heads in each.
        name: of the table, for screen readers.
        stack: on a narrow screen the cells of a row stand below each other instead.
    """
    head = "".join(
        f"<th scope=col aria-sort=none><button type=button>{escape(text)}</button></th>" if text else "<th></th>"
        for text in heads
    )
    body = "".join(
        "<tr>" + "".join(_cell(cell, text) for text, cell in zip(heads, row, strict=True)) + "</tr>" for row in rows
    )
    kind = " class=stack" if stack else ""
    content = f"<table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div class=scroll role=region tabindex=0 aria-label='{escape(name, quote=True)}'>{content}</div>"


def _cell(cell: Cell, head: str) -> str:
    kind = f" class={cell.kind}" if cell.kind else ""
    value = "" if cell.value is None else f" data-value='{cell.value!r}'"
    return f"<td{kind}{value} data-head='{escape(head, quote=True)}'>{cell.html}</td>"
