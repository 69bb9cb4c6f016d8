"""Train connectivities that were found on the ANN twin on the spiking network, and the reverse.

    python -m experiments.transfer experiments/protocols/mnist.toml --method gmp --jobs 2

On each side of a comparison's protocol four networks are trained: one with the method itself and, all from the same
fresh weights, one with the connectivity found on this side, one with that found on the other side, and one with as
many synapses in each layer drawn at random. Finished runs of experiments.compare are used. Writes RESULTS.csv,
RESULTS.md and figures.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean

from experiments.compare import add_options
from snnprune.errors import InputError
from snnprune.report.comparison.sides import SIDES
from snnprune.runs.comparison import Protocol, Result, accuracies, cell, distinguishable, read_protocol, run_grid
from snnprune.runs.guard import guard
from snnprune.runs.options import Parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit status as `experiments.compare` does."""
    parser = Parser(
        prog="python -m experiments.transfer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--method", default=None, help="that finds the connectivities (default: control_of in the protocol)"
    )
    add_options(parser)
    return guard(lambda: transfer(parser.parse_args(arguments)))


def transfer(options: argparse.Namespace) -> None:
    """Run the missing runs, write the results, and print them."""
    protocol = read_protocol(options.protocol)
    method = options.method or protocol.control_of
    if method is None:
        raise InputError(f"{options.protocol} has no control_of: give --method, one of {', '.join(protocol.methods)}")
    chosen = both_ways(protocol, method)
    run_grid(chosen, options, script=f"transfer --method {method}", suffix="transfer", remarks=verdicts)


def both_ways(protocol: Protocol, method: str) -> Protocol:
    """Return a protocol of one method on both sides, with the controls that exchange its connectivities."""
    return replace(
        protocol,
        title=f"{protocol.title}: connectivities of {method} that change sides",
        methods=[method],
        method={name: own for name, own in protocol.method.items() if name == method},
        sides=list(SIDES),
        controls=["scratch-e", "transfer", "shuffled"],
        control_of=method,
    )


def verdicts(protocol: Protocol, results: Sequence[Result]) -> list[str]:
    """Return a line for each side and density: accuracies with the other side's, the own, and a random connectivity.

    With a single seed the line has no judgement.
    """
    lines = []
    for side in protocol.sides:
        other = next(name for name in SIDES if name != side)
        for density in protocol.densities:
            here = [result for result in results if result.side == side]
            own, came, drawn = (
                accuracies(here, f"{protocol.control_of}-{kind}", density)
                for kind in ("scratch-e", "transfer", "shuffled")
            )
            if not (own and came and drawn):
                continue
            lines.append(
                f"- {SIDES[side].words}, {100 * density:g} %: found on the {SIDES[other].words} {cell(came)} %, "
                f"{_beside(came, own)}; drawn at random {cell(drawn)} %."
            )
    return lines


def _beside(came: Sequence[float], own: Sequence[float]) -> str:
    """Return the accuracies of the own connectivity and, where there is more than one seed, the comparison with it."""
    if min(len(came), len(own)) < 2:
        return f"found here {cell(own)} %"
    if not distinguishable(came, own):
        return f"within the margin of that found here ({cell(own)} %)"
    word = "better" if mean(came) > mean(own) else "worse"
    return f"{word} than that found here ({cell(own)} %) by more than the margin"


if __name__ == "__main__":
    sys.exit(main())
