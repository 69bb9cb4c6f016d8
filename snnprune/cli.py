"""The command `snnprune`."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import InputError, printable
from .options import Count, check
from .runs.options import Parser, add_several


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status: 0 done, 2 wrong input."""
    about = "A pruned spiking network: its graph, its cost, and the chips that it fits."
    parser = Parser(prog="snnprune", description=about)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chips = commands.add_parser("chips", help="list the known chips, or explain some of them")
    chips.add_argument("chip", nargs="*", help="names of chips, or .toml files of your own")
    chips.set_defaults(run_command=_chips)
    report = commands.add_parser("report", help="report the cost of a finished run, and the chips that it fits")
    report.add_argument("run", help="a run folder of experiments.train")
    add_several(report, "--chip", help="names of chips, or .toml files (default: all)")
    report.add_argument("--dense", metavar="RUN", help="run folder of the dense network, whose accuracy is shown")
    report.add_argument("--out", default=None, help="folder of report.html and report.json (default: RUN/report)")
    report.add_argument("--model", default=None, help="package.module:factory of a network of your own")
    add_several(report, "--exclude", help="layers that are not counted and not on the chip: names, or globs")
    report.add_argument("--samples", type=int, default=1000, help="images to count on (default: %(default)s)")
    report.add_argument("--data-root", default=None, help="folder of the data sets")
    report.set_defaults(run_command=_report)
    graph = commands.add_parser("graph", help="show the network of a run: its populations, and what connects them")
    graph.add_argument("run", help="a run folder of experiments.train")
    graph.add_argument("--out", default=None, help="also draw it into this .svg file")
    graph.add_argument("--model", default=None, help="package.module:factory of a network of your own")
    graph.add_argument("--data-root", default=None, help="folder of the data sets")
    graph.set_defaults(run_command=_graph)
    options = parser.parse_args(arguments)
    try:
        print(printable(options.run_command(options), keep="\n"))
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
    return f"{aligned(rows, left=(0, 1, 2, 3))}\n\nsnnprune chips NAME shows the limits of one, with their sources."


def _report(options: argparse.Namespace) -> str:
    from .budget import assess
    from .report import report_pictures, save_page
    from .runs import read_run
    from .storage import as_path, finite, make_folder, write_json
    from .synapses import geometry_named
    from .training import check_links

    check("--samples", options.samples, Count)
    out = as_path(options.out or as_path(options.run) / "report")
    run = read_run(options.run, model=options.model, data_root=options.data_root)
    dense = {} if options.dense is None else {"dense_accuracy": _dense_accuracy(options.dense, run.summary)}
    batches, known = run.batches(options.samples), {**run.summary, **dense}
    excluded = options.exclude or ()
    result = assess(
        run.network, batches, connectivity=run.connectivity, chips=options.chip, exclude=excluded, run=known
    )
    if options.out is None:
        check_links(run.folder)
    make_folder(out)
    shapes, figures = geometry_named(run.network, run.connectivity), run.folder / "figures"
    pictures = report_pictures(run.connectivity, shapes, image_shape=run.data.image_shape, figures=figures)
    write_json(out / "report.json", finite(result.to_json()), indent=1)
    save_page(result, out / "report.html", pictures=pictures)
    return f"{result}\nThe page is {out / 'report.html'}; all numbers are in report.json beside it"


def _graph(options: argparse.Namespace) -> str:
    from .graph import record, save_picture
    from .runs import read_run

    run = read_run(options.run, model=options.model, data_root=options.data_root)
    graph = record(run.network, run.example())
    if options.out is None:
        return str(graph)
    return f"{graph}\n\nThe picture is {save_picture(graph, options.out)}"


def _dense_accuracy(folder: str, run: Mapping[str, Any]) -> float:
    """Accuracy of a dense run that was evaluated on the same data as `run`, the summary of the reported one."""
    from .runs.summary import read_summary
    from .storage import MissingFile
    from .training import RunFolder

    try:
        dense = read_summary(RunFolder(folder))
    except MissingFile as error:
        raise InputError(f"--dense {folder} is no finished run: it has no summary.json") from error
    goal, found = ({"density": 1, **_evaluation(run)}, {"density": dense.get("density"), **_evaluation(dense)})
    if goal != found:
        raise InputError(f"--dense {folder} must be a run with {_listed(goal)}, found {_listed(found)}")
    return dense["accuracy"]


def _evaluation(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {key: summary.get(key) for key in ("data", "evaluated_on")}


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
    )
