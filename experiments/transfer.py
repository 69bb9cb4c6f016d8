"""Does a connectivity found on the ANN twin serve the spiking network, and the reverse?

    python -m experiments.transfer experiments/protocols/mnist.toml --method gmp --jobs 2

On each side of a comparison's protocol four things are trained: the method itself, and, all from the same fresh
weights, the connectivity that it found there, the one that it found on the other side, and one with as many synapses in
each layer drawn at random. Runs that experiments.compare has done already are not run again. Writes RESULTS.csv,
RESULTS.md and figures.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean

from experiments.compare import add_options, run_grid
from experiments.guard import guard
from experiments.protocol import SIDES, Protocol, read_protocol
from experiments.verdict import SIDE_NAMES, Result, accuracies, cell, told_apart
from snnprune import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit status as `experiments.compare` does."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.transfer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--method", default=None, help="whose connectivities (default: control_of of the protocol)")
    add_options(parser)
    return guard(lambda: transfer(parser.parse_args(arguments)))


def transfer(options: argparse.Namespace) -> None:
    """Run what is missing, write what there is, and say what came of it."""
    protocol = read_protocol(options.protocol)
    method = options.method or protocol.control_of
    if method is None:
        raise InputError(f"{options.protocol} has no control_of: give --method, one of {', '.join(protocol.methods)}")
    chosen = both_ways(protocol, method)
    run_grid(chosen, options, script=f"transfer --method {method}", suffix="transfer", remarks=verdicts)


def both_ways(protocol: Protocol, method: str) -> Protocol:
    """One method of a protocol on both sides, with the controls that tell where its connectivities serve."""
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
    """For each side and density, how the other side's connectivity does beside the own one and chance."""
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
            told = "not told apart from"
            if told_apart(came, own):
                told = "better than" if mean(came) > mean(own) else "worse than"
            lines.append(
                f"- {SIDE_NAMES[side]}, {100 * density:g} %: found on the {SIDE_NAMES[other]} {cell(came)} %, {told} "
                f"that found here ({cell(own)} %); drawn at random {cell(drawn)} %."
            )
    return lines


if __name__ == "__main__":
    sys.exit(main())
