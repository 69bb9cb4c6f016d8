"""Does a network lose accuracy when it is pruned to a chip's limits? Grad R with and without --chip on MNIST.

    python -m benchmarks.chips_mnist --jobs 2

For each chip a network of a size for it, one density, three seeds, 15 epochs. Writes docs/results/chips-mnist.csv (one
row a run) and .md (means, differences, and where the networks fit). Run folders go to --out; what is done there is not
run again. The test set is read once for each run, after its last epoch.
"""

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from snnprune import InputError
from snnprune.runs.chips import placement_of
from snnprune.runs.comparison import Protocol, Run, cell, measured_with, run_all
from snnprune.runs.finished_run import read_run
from snnprune.runs.guard import guard
from snnprune.runs.options import add_several
from snnprune.storage import write_text
from snnprune.training import RunFolder

# Chip -> network and density. The network for Xylo uses all of its 992 hidden neurons; dense, it would not fit.
ROWS = {
    "loihi1": ("784-800-10", 0.03),
    "truenorth": ("784-800-10", 0.03),
    "dynap-se2": ("784-512-10", 0.05),
    "xylo-audio-3": ("P7-16-128-736-128-10", 0.1),
}
RUN: dict[str, Any] = {"data": "mnist", "epochs": 15}
FREE, CAPPED = "gradr", "gradr-chip"
COLUMNS: list[str] = ["chip", "model", "method", "density", "seed", "accuracy", "nonzero", "verdict", "cores"]


def protocol(chip: str, seeds: Sequence[int]) -> Protocol:
    """Both ways to prune a network for a chip."""
    model, density = ROWS[chip]
    return Protocol(
        methods=[FREE, CAPPED],
        densities=[density],
        sides=["snn"],
        seeds=seeds,
        run={"model": model, **RUN},
        method={CAPPED: {"method": "gradr", "chip": chip}},
    )


def row(chip: str, run: Run, data_root: str | None) -> dict[str, Any]:
    """Result of one run, and its placement on the chip, whether it was pruned for it or not."""
    summary = RunFolder(run.folder).read_json("summary.json")
    finished = read_run(run.folder, data_root=data_root)
    placement = placement_of(chip, finished.network, finished.connectivity, finished.example())
    found = {"accuracy": summary["accuracy"], "nonzero": summary["nonzero"]}
    asked = {"chip": chip, "model": run.config.model, "method": run.method, "density": run.density, "seed": run.seed}
    return asked | found | {"verdict": placement["verdict"], "cores": placement["cores"]}


def table(rows: list[dict[str, Any]]) -> str:
    """Mean and spread for each chip, as Markdown."""
    lines = [
        "| chip | network | density | pruned to the chip, % | without its limits, % | difference | fits | without |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for chip, (model, density) in ROWS.items():
        ways = [[found for found in rows if (found["chip"], found["method"]) == (chip, way)] for way in (CAPPED, FREE)]
        capped, free = ([100 * found["accuracy"] for found in way] for way in ways)
        fits = (f"{sum(found['verdict'] == 'fits' for found in way)} of {len(way)}" for way in ways)
        lines.append(
            f"| {chip} | {model} | {100 * density:g} % | {cell(capped)} | {cell(free)} "
            f"| {mean(capped) - mean(free):+.2f} | {' | '.join(fits)} |"
        )
    return "\n".join(lines) + "\n"


def measure(options: argparse.Namespace) -> None:
    """Run what is missing; write the table once all of it is there."""
    runs = [(chip, run) for chip in ROWS for run in protocol(chip, options.seeds).runs(Path(options.out) / chip)]
    if failures := run_all([run for _, run in runs], options):
        raise InputError("runs failed:\n" + "\n".join(failures))
    rows = [row(chip, run, options.data_root) for chip, run in runs]
    print(table(rows))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = Path(options.results)
    write_text(path.with_suffix(".csv"), text.getvalue())
    note = measured_with([run.folder for _, run in runs])
    write_text(path.with_suffix(".md"), table(rows) + f"\nMeasured with {note}.\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_several(parser, "--seeds", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", default="runs/chips-mnist", help="folder of the run folders")
    parser.add_argument("--results", default="docs/results/chips-mnist", help="path of the table, without suffix")
    parser.add_argument("--data-root", default=None)
    parser.add_argument("--compile", choices=("auto", "on", "off"), default="auto")
    options = parser.parse_args(arguments)
    return guard(lambda: measure(options))


if __name__ == "__main__":
    sys.exit(main())
