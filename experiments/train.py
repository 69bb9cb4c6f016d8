"""Train a network with a method and write a run folder.

    python -m experiments.train --model mnist-mlp --data mnist --method gradr --density 0.03 --out runs/mnist3

The run folder holds config.json, environment.json, metrics.jsonl (one line an epoch), checkpoint.safetensors,
connectivity.safetensors, connectivity.npz (one scipy CSR matrix a layer), figures/ and, once the run is done,
summary.json. Ctrl-C saves and stops; --resume goes on, to the very same result.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from snnprune import Connectivity, InputError
from snnprune.runs.config import Config, Runtime, add_options, fields_of, with_method
from snnprune.runs.run import Stopped, execute
from snnprune.training import RunFolder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit status: 0 done, 2 wrong input, 130 stopped and saved."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, Config, Runtime)
    given = vars(parser.parse_args(arguments))
    return guard(lambda: train(given))


def train(given: dict[str, Any]) -> None:
    """Carry out what the command line says, and show the result."""
    runtime, chosen = Runtime(**fields_of(Runtime, given)), fields_of(Config, given)
    config = _resumed(chosen, runtime.out) if runtime.resume else Config(**with_method(chosen))
    summary = execute(config, runtime)
    print(Connectivity.load(Path(runtime.out) / "connectivity.safetensors").table())
    kept = f"{summary['density']:.3%} of the synapses"
    if summary.get("connections") not in (None, summary["nonzero"]):  # a convolution's weight makes many connections
        kept += f" ({summary['connections'] / summary['possible_connections']:.3%} of the connections)"
    if "chip" in summary:
        told = summary["chip"]
        print(f"{told['name']}: {told['verdict']}; {'; '.join(told['reasons'])}")
    print(
        f"{summary['accuracy']:.2%} on the {summary['evaluated_on']} images with {kept}, {summary['seconds']:.0f} s; "
        f"everything is in {runtime.out}"
    )


def guard(work: Callable[[], None]) -> int:
    """Call `work`; turn what a user can do something about into one line and an exit status."""
    logging.basicConfig(format="%(message)s")
    try:
        work()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("interrupted; what was saved is kept", file=sys.stderr)
        return 130
    return 0


def _resumed(chosen: dict[str, Any], out: str) -> Config:
    """The config of the run in a folder. Options that are given again must be the same."""
    folder = RunFolder(out)
    written = Config.from_json(folder.read_json("config.json"))
    # A run folder is data: code that it names is imported only if the user names it too.
    for name in ("model", "method"):
        if ":" in getattr(written, name) and name not in chosen:
            raise InputError(
                f"the run in {out} has --{name} {getattr(written, name)}: give that option again to import it"
            )
    config = Config(**(written.to_json() | chosen))
    if different := written.different(config):
        told = ", ".join(f"--{name} {getattr(written, name)}" for name in different)
        raise InputError(f"the run in {out} has {told}: resume it with the same options, or choose another --out")
    return config


if __name__ == "__main__":
    sys.exit(main())
