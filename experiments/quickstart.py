"""Ten kilobytes of digits, one minute: a dense spiking network, and three that learned which synapses to keep.

    python -m experiments.quickstart

Trains 64-128-10 on scikit-learn's 8x8 digits, dense and with Grad R at three densities, prints a table, and leaves a
run folder for each under --out, with pictures in its figures/. Runs that are there already are not run again.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from snnprune.runs.config import Config, Runtime
from snnprune.runs.guard import guard
from snnprune.runs.options import Parser
from snnprune.runs.run import execute

RUNS = {
    "dense": {"method": "dense"},
    "gradr-20": {"method": "gradr", "density": 0.20},
    "gradr-10": {"method": "gradr", "density": 0.10},
    "gradr-5": {"method": "gradr", "density": 0.05},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit status."""
    parser = Parser(
        prog="python -m experiments.quickstart",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", default="runs/quickstart", help="folder of the run folders (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the 1,437 digits (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and order (default: %(default)s)")
    options = parser.parse_args(arguments)
    return guard(lambda: quickstart(Path(options.out), options.epochs, options.seed))


def quickstart(out: Path, epochs: int, seed: int) -> None:
    """Train the four networks and print their table."""
    print("Training a spiking network (64-128-10, 8 time steps) on 8x8 digits, dense and with Grad R:", flush=True)
    rows = [("", "accuracy", "density", "synapses", "seconds")]
    for name, options in RUNS.items():
        config = Config(model="digits-mlp", data="digits", epochs=epochs, batch_size=32, lr=3e-3, seed=seed, **options)
        folder = out / name
        done = (folder / "config.json").is_file()
        summary = execute(config, Runtime(out=str(folder), resume=done, device="cpu", compile="off"))
        rows.append(
            (
                name,
                f"{summary['accuracy']:.2%}",
                f"{summary['density']:.2%}",
                f"{summary['nonzero']:,}",
                "" if summary["seconds"] is None else f"{summary['seconds']:.1f}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    print(f"Pictures and learned connectivity: {out / 'gradr-10'}")
    print(
        "Next: python -m experiments.train --help, or a network of your own in fifteen minutes: docs/first-network.md"
    )


if __name__ == "__main__":
    sys.exit(main())
