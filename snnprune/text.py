"""Tables as plain text, and as HTML for notebooks."""

from collections.abc import Collection, Sequence
from html import escape

from .errors import printable


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
