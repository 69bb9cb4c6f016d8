"""The results of a comparison, written: table, page and figures, all from the run folders."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from experiments.protocol import Protocol
from experiments.verdict import SIDE_NAMES, Result, sentences, table
from snnprune import Connectivity
from snnprune.report import plot_comparison, plot_kept, plot_similarity
from snnprune.report.style import save_figure
from snnprune.storage import write_text
from snnprune.training import RunFolder

COLUMNS = ("method", "side", "density", "seed", "accuracy", "seconds")


def write_results(
    path: Path, protocol: Protocol, results: Sequence[Result], *, command: str, remarks: Sequence[str] = ()
) -> str:
    """Write PATH.csv, PATH.md (with the command and these remarks) and the figures; returns the Markdown."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(result, column) for column in COLUMNS] for result in results)
    write_text(path.with_name(f"{path.name}.csv"), text.getvalue())
    page = markdown(protocol, results, command=command, remarks=remarks)
    write_text(path.with_name(f"{path.name}.md"), page)
    _draw(path, protocol, results)
    return page


def markdown(protocol: Protocol, results: Sequence[Result], *, command: str, remarks: Sequence[str] = ()) -> str:
    """A table for each side, what is best there, and how, when and on what it was measured."""
    parts = [f"# {protocol.title}"]
    for side in protocol.sides:
        chosen = [result for result in results if result.side == side]
        if chosen:
            parts += [f"## The {SIDE_NAMES[side]}", table(chosen), "\n".join(sentences(chosen))]
    parts += ["\n".join(remarks)] if remarks else []
    seeds = ", ".join(map(str, protocol.seeds))
    measured = measured_with([result.folder for result in results])
    parts.append(f"Percent, mean ± standard deviation over the seeds {seeds}. Made by `{command}` with {measured}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def measured_with(folders: Sequence[Path]) -> str:
    """The versions, machines and days of runs, as their folders tell."""
    told = [RunFolder(folder).read_json("environment.json") for folder in folders]
    versions = " and ".join(dict.fromkeys(run["torch"] for run in told))
    machines = " and ".join(dict.fromkeys(run["gpu"] or run["processor"] for run in told))
    days = sorted(run["date"][:10] for run in told)
    return f"torch {versions}, {machines}, {' to '.join(dict.fromkeys((days[0], days[-1])))}"


def _draw(path: Path, protocol: Protocol, results: Sequence[Result]) -> None:
    smallest = min(result.density for result in results)
    if smallest == 1:
        return  # nothing was pruned
    rows = [{column: getattr(result, column) for column in COLUMNS} for result in results]
    save_figure(path.with_name(f"{path.name}-accuracy.png"), plot_comparison(rows, title=protocol.title))
    kept: dict[str, dict[str, dict[str, float]]] = {}
    masks: dict[str, dict[str, Connectivity]] = {}
    for side in dict.fromkeys(result.side for result in results):
        at = [r for r in results if (r.side, r.density, r.control) == (side, smallest, False)]
        at.sort(key=lambda r: protocol.methods.index(r.method))  # the seeds of a method side by side
        found = {r: Connectivity.load(r.folder / "connectivity.safetensors") for r in at}
        masks[side] = {f"{result.method} {result.seed}": connectivity for result, connectivity in found.items()}
        kept[side] = _layer_densities(found)
    title = f"{protocol.title}: {100 * smallest:g} % of the synapses"
    save_figure(path.with_name(f"{path.name}-layers.png"), plot_kept(kept, title=title))
    save_figure(path.with_name(f"{path.name}-masks.png"), plot_similarity(masks, title=title))


def _layer_densities(found: Mapping[Result, Connectivity]) -> dict[str, dict[str, float]]:
    """Method -> layer -> density, the mean over the seeds."""
    methods: dict[str, list[dict[str, float]]] = {}
    for result, connectivity in found.items():
        densities = {layer: row["density"] for layer, row in connectivity.layers().items()}
        methods.setdefault(result.method, []).append(densities)
    return {
        method: {layer: mean(seed[layer] for seed in seeds) for layer in seeds[0]} for method, seeds in methods.items()
    }
