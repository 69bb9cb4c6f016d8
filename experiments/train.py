"""Train a network with a method and write a run folder.

    python -m experiments.train --model mnist-mlp --data mnist --method gradr --density 0.03 --out runs/mnist3

The run folder holds config.json, environment.json, metrics.jsonl (one line an epoch), checkpoint.safetensors,
connectivity.safetensors, connectivity.npz (one scipy CSR matrix a layer), figures/ and, once the run is finished,
summary.json. Ctrl-C saves and stops; --resume goes on, to the very same result.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snnprune.errors import InputError, printable
from snnprune.runs.config import Config, Runtime
from snnprune.runs.guard import guard
from snnprune.runs.options import Parser, add_options, config_fields, runtime_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit status: 0 done, 2 wrong input, 130 stopped and saved."""
    parser = Parser(
        prog="python -m experiments.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, Config, Runtime)
    given = vars(parser.parse_args(arguments))
    return guard(lambda: train(given))


def train(given: dict[str, Any]) -> None:
    """Carry out what the command line says, and show the result."""
    runtime, chosen = runtime_of(given), config_fields(given)
    config = _resumed(chosen, runtime.out) if runtime.resume else Config(**chosen)
    # After the command line is read: importing torch takes longer than --help should.
    from snnprune.connectivity import Connectivity
    from snnprune.runs import execute

    summary = execute(config, runtime)
    print(Connectivity.load(Path(runtime.out) / "connectivity.safetensors").table())
    kept = f"{summary['density']:.3%} of the synapses"
    if summary.get("connections") not in (None, 0, summary["nonzero"]):  # a convolution's weight makes many connections
        kept += f" ({summary['connections'] / summary['possible_connections']:.3%} of the connections)"
    if chip := summary.get("chip"):
        print(printable(f"{chip['name']}: {chip['verdict']}; {'; '.join(map(str, chip['reasons']))}"))
    told = f"{summary['accuracy']:.2%} on the {summary['evaluated_on']} images with {kept}, {_time(summary)}"
    print(printable(f"{told}; everything is in {runtime.out}"))


def _time(summary: dict[str, Any]) -> str:
    return "an unknown time" if summary["seconds"] is None else f"{summary['seconds']:.0f} s"


def _resumed(chosen: dict[str, Any], out: str) -> Config:
    """The config of the run in a folder. Options that are given again must be the same."""
    from snnprune.training import RunFolder

    content = RunFolder(out).read_json("config.json")
    if "made_by" in content:
        raise InputError(f"the run in {out} was made by {content['made_by']}: call that again with resume=True")
    written = Config.from_json(content)
    # A run folder is data: code that it names is imported only if the user names it too.
    for name in ("model", "method"):
        if ":" in getattr(written, name) and name not in chosen:
            raise InputError(
                f"the run in {out} has --{name} {getattr(written, name)}: give that option again to import it"
            )
    return Config(**(written.to_json() | chosen))  # the run makes sure that they are the same


if __name__ == "__main__":
    sys.exit(main())
