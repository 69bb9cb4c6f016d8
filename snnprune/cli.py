"""The command `snnprune`."""

import argparse
import sys
from collections.abc import Sequence

from .errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status: 0 done, 2 wrong input."""
    parser = argparse.ArgumentParser(
        prog="snnprune", description="What a pruned spiking network needs and where it fits."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chips = commands.add_parser("chips", help="list the chips that are known, or explain some of them")
    chips.add_argument("chip", nargs="*", help="names of chips, or .toml files of your own")
    chips.set_defaults(run=_chips)
    options = parser.parse_args(arguments)
    try:
        print(options.run(options))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _chips(options: argparse.Namespace) -> str:
    from .budget import chip
    from .text import aligned

    if options.chip:
        return "\n\n\n".join(chip.find(name).explain() for name in options.chip)
    known = [chip.find(name) for name in chip.names()]
    rows = [("chip", "name", "a synapse that is absent frees", "weight bits")]
    rows += [(c.key, f"{c.name} ({c.maker})", c.zeros, ", ".join(map(str, c.weight_bits.value))) for c in known]
    return f"{aligned(rows, left=(0, 1, 2, 3))}\n\nsnnprune chips NAME tells the limits of one, with their sources."
