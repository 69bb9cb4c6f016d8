"""Results of a comparison as files: table, page and figures, all from the run folders."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from ...connectivity import Connectivity
from ...errors import InputError
from ...report import plot_comparison, plot_kept, plot_similarity
from ...report.comparison.sides import SIDES
from ...storage import write_text
from ...training import RunFolder
from .protocol import Protocol
from .verdict import Result, sentences, table

COLUMNS = ("method", "side", "density", "seed", "accuracy", "seconds")
_COMPARABLE = 3  # methods; two numbers are read in the table, not in a picture


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
    draw(path, protocol, results)
    return page


def markdown(protocol: Protocol, results: Sequence[Result], *, command: str, remarks: Sequence[str] = ()) -> str:
    """Return a table for each side, the best methods there, and how, when and on which machine it was measured."""
    parts = [f"# {protocol.title}"]
    for side in protocol.sides:
        chosen = [result for result in results if result.side == side]
        if chosen:
            parts += [f"## The {SIDES[side].words}", table(chosen), "\n".join(sentences(chosen))]
    parts += ["\n".join(remarks)] if remarks else []
    seeds = ", ".join(map(str, protocol.seeds))
    measured = measured_with([result.folder for result in results])
    parts.append(f"Percent, mean ± standard deviation over the seeds {seeds}. Made by `{command}` with {measured}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def measured_with(folders: Sequence[Path]) -> str:
    """Return the versions, machines and days of runs, from their folders."""
    environments = [RunFolder(folder).read_json("environment.json") for folder in folders]
    versions = " and ".join(dict.fromkeys(run["torch"] for run in environments))
    machines = " and ".join(dict.fromkeys(run["gpu"] or run["processor"] for run in environments))
    days = sorted(run["date"][:10] for run in environments)
    return f"torch {versions}, {machines}, {' to '.join(dict.fromkeys((days[0], days[-1])))}"


def read_results(path: Path) -> list[Result]:
    """Read the CSV file of `write_results`; without the run folders, which are not in it.

    Raises:
        InputError: no such file, or not one of a comparison.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [_result(row) for row in rows]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError) as error:
        columns = ", ".join(COLUMNS)
        raise InputError(f"{path} is no table of a comparison ({error!r}): its columns must be {columns}") from error


def _result(row: Mapping[str, str]) -> Result:
    return Result(
        method=row["method"],
        side=row["side"],
        density=float(row["density"]),
        seed=int(row["seed"]),
        accuracy=float(row["accuracy"]),
        seconds=float(row["seconds"]),
        folder=Path(),
    )


def draw_accuracy(path: Path, results: Sequence[Result], *, title: str, methods: Sequence[str] | None = None) -> None:
    """Draw accuracy over density, of all methods or of some; other arguments and errors as `plot_comparison`."""
    rows = [{column: getattr(result, column) for column in COLUMNS} for result in results]
    plot_comparison(rows, title=title, methods=methods, path=path)


def draw(path: Path, protocol: Protocol, results: Sequence[Result]) -> None:
    """Draw PATH-accuracy.png and, from three methods on, PATH-layers.png and PATH-masks.png."""
    smallest = min(result.density for result in results)
    if smallest == 1:
        return  # nothing was pruned
    draw_accuracy(path.with_name(f"{path.name}-accuracy.png"), results, title=protocol.title)
    pruned = [r for r in results if r.density == smallest and not r.control]
    pruned.sort(key=lambda r: protocol.methods.index(r.method))  # the seeds of a method side by side
    if len({result.method for result in pruned}) < _COMPARABLE:
        return
    kept: dict[str, dict[str, dict[str, float]]] = {}
    masks: dict[str, dict[str, Connectivity]] = {}
    for side in dict.fromkeys(result.side for result in pruned):
        found = {r: Connectivity.load(r.folder / "connectivity.safetensors") for r in pruned if r.side == side}
        masks[side] = {f"{result.method} {result.seed}": connectivity for result, connectivity in found.items()}
        kept[side] = _layer_densities(found)
    title = f"{protocol.title}: {100 * smallest:g} % of the synapses"
    plot_kept(kept, title=title, path=path.with_name(f"{path.name}-layers.png"))
    plot_similarity(masks, title=title, path=path.with_name(f"{path.name}-masks.png"))


def _layer_densities(found: Mapping[Result, Connectivity]) -> dict[str, dict[str, float]]:
    """Return method -> layer -> density, the mean over the seeds."""
    methods: dict[str, list[dict[str, float]]] = {}
    for result, connectivity in found.items():
        densities = {layer: row["density"] for layer, row in connectivity.layers().items()}
        methods.setdefault(result.method, []).append(densities)
    return {
        method: {layer: mean(seed[layer] for seed in seeds) for layer in seeds[0]} for method, seeds in methods.items()
    }
