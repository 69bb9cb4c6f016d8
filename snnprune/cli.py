"""The command `snnprune`."""

import argparse
import sys
from collections.abc import Sequence

from .errors import InputError
from .runs.options import add_several


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status: 0 done, 2 wrong input."""
    parser = argparse.ArgumentParser(
        prog="snnprune", description="What a pruned spiking network needs and where it fits."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chips = commands.add_parser("chips", help="list the chips that are known, or explain some of them")
    chips.add_argument("chip", nargs="*", help="names of chips, or .toml files of your own")
    chips.set_defaults(run_command=_chips)
    report = commands.add_parser("report", help="what a finished run costs, and on which chips it fits")
    report.add_argument("run", help="a run folder of experiments.train, read from the checkout")
    add_several(report, "--chip", help="names of chips, or .toml files (default: all)")
    report.add_argument("--out", default=None, help="folder of report.html and report.json (default: RUN/report)")
    report.add_argument("--model", default=None, help="package.module:factory of a network of your own")
    report.add_argument("--samples", type=int, default=1000, help="images to count on (default: %(default)s)")
    report.add_argument("--data-root", default=None, help="folder of the data sets")
    report.set_defaults(run_command=_report)
    options = parser.parse_args(arguments)
    try:
        print(options.run_command(options))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _chips(options: argparse.Namespace) -> str:
    from .budget import CHIPS, find_chip
    from .text import aligned

    if options.chip:
        return "\n\n\n".join(find_chip(name).explain() for name in options.chip)
    known = [find_chip(name) for name in CHIPS.names()]
    rows = [("chip", "name", "a synapse that is absent frees", "weight bits")]
    rows += [(c.key, f"{c.name} ({c.maker})", c.zeros, ", ".join(map(str, c.weight_bits.value))) for c in known]
    return f"{aligned(rows, left=(0, 1, 2, 3))}\n\nsnnprune chips NAME tells the limits of one, with their sources."


def _report(options: argparse.Namespace) -> str:
    import json
    from pathlib import Path

    from .budget import CHIPS
    from .budget.assess import assess, told
    from .report.page import render
    from .report.run.pictures import pictures_of
    from .runs import read_run
    from .storage import write_text

    if options.samples < 1:
        raise InputError(f"--samples must be 1 or more, found {options.samples}")
    out = Path(options.out or Path(options.run) / "report")
    run = read_run(options.run, model=options.model, data_root=options.data_root)
    content = assess(run, options.chip or CHIPS.names(), samples=options.samples)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error.strerror or error}; choose another --out") from error
    write_text(out / "report.json", json.dumps(content, indent=1) + "\n")
    write_text(out / "report.html", render(content, pictures_of(run)))
    return f"{told(run, content)}\nThe page is {out / 'report.html'}; all numbers are in report.json beside it"
