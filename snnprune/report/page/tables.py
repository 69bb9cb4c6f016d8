"""HTML tables that can be sorted, and read on a narrow screen."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple


class Cell(NamedTuple):
    """One cell.

    Attributes:
        html: its content, escaped.
        value: by which it is sorted; None: its text.
        kind: class of the cell: "number", "text", "name", "bars" or "".
    """

    html: str
    value: float | None = None
    kind: str = ""


def number(value: float, text: str | None = None) -> Cell:
    """A number, as shown and as sorted."""
    return Cell(f"{value:,.0f}" if text is None else text, value, "number")


def lines(texts: Sequence[str]) -> Cell:
    """Several texts, a line each."""
    return Cell("".join(f"<span class=line>{escape(text)}</span>" for text in texts), kind="text" if texts else "")


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    name: str,
    stack: bool = False,
    sorted_by: int | None = None,
) -> str:
    """A table in a box that scrolls sideways if it must.

    Args:
        heads: of the columns; "" cannot be sorted by.
        rows: cells, as many as heads in each.
        name: of the table, for screen readers.
        stack: on a narrow screen the first two cells of a row share a line, and the others lie below.
        sorted_by: index of the column by which the rows are in ascending order.
    """
    kinds = [cell.kind for cell in rows[0]] if rows else [""] * len(heads)
    head = "".join(
        _head(text, kind, sorted_by == index) for index, (text, kind) in enumerate(zip(heads, kinds, strict=True))
    )
    body = "".join(
        "<tr>" + "".join(_cell(cell, text) for text, cell in zip(heads, row, strict=True)) + "</tr>" for row in rows
    )
    kind = " class=stack" if stack else ""
    content = f"<table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div class=scroll role=region tabindex=0 aria-label='{escape(name, quote=True)}'>{content}</div>"


def _head(text: str, kind: str, ascending: bool) -> str:
    """The head of a column, with a button that sorts by it."""
    if not text:
        return "<td></td>"
    order = "ascending" if ascending else "none"
    aligned = " class=number" if kind == "number" else ""
    return f"<th scope=col{aligned} aria-sort={order}><button type=button>{escape(text)}</button></th>"


def _cell(cell: Cell, head: str) -> str:
    kind = f" class={cell.kind}" if cell.kind else ""
    value = "" if cell.value is None else f" data-value='{cell.value!r}'"
    return f"<td{kind}{value} data-head='{escape(head, quote=True)}'>{cell.html}</td>"
