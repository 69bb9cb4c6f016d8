"""Compare methods on a spiking network and on its ANN twin, under one protocol.

    python -m experiments.compare experiments/protocols/mnist.toml --jobs 2 --results docs/results/mnist

Runs methods x densities x sides x seeds, and the controls; what is done already is not run again, so the command can be
stopped and called again at any time. Writes RESULTS.csv (one row a run), RESULTS.md (mean and spread, and which method
is best), RESULTS-accuracy.png and, from three methods on, RESULTS-layers.png and RESULTS-masks.png.
"""

import argparse
import sys
from collections.abc import Sequence

from snnprune.runs.comparison import read_protocol, run_grid
from snnprune.runs.guard import guard
from snnprune.runs.options import Parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit status: 0 done, 2 wrong input or failed runs, 130 stopped."""
    parser = Parser(
        prog="python -m experiments.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    return guard(lambda: compare(parser.parse_args(arguments)))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a script that carries out a protocol."""
    parser.add_argument("protocol", help="a TOML file; docs/compare.md tells what is in it")
    parser.add_argument("--out", default=None, help="folder of the run folders (default: runs/NAME of the protocol)")
    parser.add_argument("--results", default=None, help="path of tables and figures, without suffix (default: in OUT)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each with its share of the threads")
    parser.add_argument("--device", default="auto", help="as in experiments.train (default: %(default)s)")
    parser.add_argument("--data-root", default=None, help="as in experiments.train")
    parser.add_argument("--compile", choices=("auto", "on", "off"), default="auto", help="as in experiments.train")


def compare(options: argparse.Namespace) -> None:
    """Carry out a protocol and print its tables."""
    run_grid(read_protocol(options.protocol), options, script="compare", suffix="results")


if __name__ == "__main__":
    sys.exit(main())
