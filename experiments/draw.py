"""Draw accuracy over density from the CSV file of a comparison.

    python -m experiments.draw docs/results/mnist.csv --methods gradr gmp rigl --out three.png

The runs themselves are not needed. The suffix of the picture decides its format: .png, .svg or .pdf.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from snnprune.errors import printable
from snnprune.runs.comparison import draw_accuracy, read_results
from snnprune.runs.guard import guard
from snnprune.runs.options import Parser, add_several
from snnprune.storage import MissingFile, read_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit status: 0 done, 2 wrong input."""
    parser = Parser(
        prog="python -m experiments.draw", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="RESULTS.csv of experiments.compare or experiments.transfer")
    add_several(parser, "--methods", help="methods to draw, in the order of their colours (default: all)")
    parser.add_argument("--title", help="of the picture (default: that of the RESULTS.md beside the table)")
    parser.add_argument("--out", type=Path, help="file of the picture (default: RESULTS-accuracy.png)")
    return guard(lambda: draw(parser.parse_args(arguments)))


def draw(options: argparse.Namespace) -> None:
    """Read the table, draw, and report the file."""
    table: Path = options.table
    out = options.out or table.with_name(f"{table.stem}-accuracy.png")
    title = _heading(table.with_suffix(".md")) if options.title is None else options.title
    draw_accuracy(out, read_results(table), title=title, methods=options.methods)
    print(printable(f"wrote {out}"))


def _heading(page: Path) -> str:
    """Return the first heading of a page; "" where there is no page, or it has none."""
    try:
        lines = read_text(page).splitlines()
    except MissingFile:
        return ""
    return next((line.removeprefix("# ") for line in lines if line.startswith("# ")), "")


if __name__ == "__main__":
    sys.exit(main())
