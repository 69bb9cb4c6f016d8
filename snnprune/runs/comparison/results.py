"""Results of a comparison as files: table, page and figures, all from the run folders."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from ...connectivity import Connectivity
from ...errors import InputError
from ...report import plot_comparison, plot_kept, plot_similarity
from ...report.comparison.sides import SIDES
from ...storage import read_text, write_text
from ...training import RunFolder
from .protocol import Protocol
from .verdict import Result, sentences, table

COLUMNS = ("method", "side", "density", "seed", "accuracy", "seconds")
_UNKNOWN = {"torch": "of an unknown version", "gpu": "", "processor": "an unknown machine", "date": "an unknown day"}
_LIMIT = 8_000_000  # bytes of a table; 100,000 rows
_WHOLE = re.compile(r"[0-9]{1,19}")
_DECIMAL = re.compile(r"[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
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
    known = [entry for folder in folders for entry in _environments(RunFolder(folder))]
    versions = " and ".join(dict.fromkeys(entry["torch"] for entry in known))
    machines = " and ".join(dict.fromkeys(entry["gpu"] or entry["processor"] for entry in known))
    days = sorted({entry["date"][:10] for entry in known if entry["date"]})
    return f"torch {versions}, {machines}, {' to '.join(dict.fromkeys((days[0], days[-1])))}"


def _environments(folder: RunFolder) -> list[dict[str, str]]:
    """Return the environment of a run's start, and those in which it was resumed; unknown where the file is damaged.

    The runs are done: a file without which their results are whole must not keep these from being written.
    """
    try:
        first = folder.read_json("environment.json")
    except InputError:
        return [_UNKNOWN]
    resumed = first.get("resumed")
    entries = [first, *(resumed if isinstance(resumed, list) else [])]
    return [_texts(entry) for entry in entries if isinstance(entry, dict)]


def _texts(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return what is text in an environment; a machine without GPU has none."""
    found = {name: value for name, value in entry.items() if name in _UNKNOWN and isinstance(value, str) and value}
    return {**_UNKNOWN, **found}


def read_results(path: Path) -> list[Result]:
    """Read the CSV file of `write_results`; without the run folders, which are not in it.

    Raises:
        InputError: no such file, or not one of a comparison.
    """
    try:
        text = io.StringIO(read_text(path, limit=_LIMIT, what="table"), newline="")
        results = [_result(row) for row in csv.DictReader(text, strict=True)]
    except InputError:
        raise
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        columns = ", ".join(COLUMNS)
        raise InputError(f"{path} is no table of a comparison ({error!r}): its columns must be {columns}") from error
    cells = [(r.method, r.side, r.density, r.seed) for r in results]
    if twice := [cell for cell, count in Counter(cells).items() if count > 1]:
        raise InputError(f"{path} has two rows of {', '.join(map(str, twice[0]))}: leave one out")
    return results


def _result(row: Mapping[str, str]) -> Result:
    if set(row) != set(COLUMNS):
        different = next(name for name in (*COLUMNS, *row) if name not in row or name not in COLUMNS)
        raise KeyError(different)
    method, side = row["method"], row["side"]
    if not method or not method.isprintable() or side not in SIDES:
        raise ValueError(f"method {method!r}, side {side!r}")
    return Result(
        method=method,
        side=side,
        density=_number(row["density"], 0, 1),
        seed=int(_number(row["seed"], 0, 2**63, _WHOLE)),
        accuracy=_number(row["accuracy"], 0, 1),
        seconds=_number(row["seconds"], 0, math.inf) if row["seconds"] else None,
        folder=Path(),
    )


def _number(text: str, low: float, high: float, form: re.Pattern[str] = _DECIMAL) -> float:
    if not form.fullmatch(text) or not (math.isfinite(float(text)) and low <= float(text) <= high):
        raise ValueError(f"{text[:50]!r}, expected a number from {low} to {high}")
    return int(text) if form is _WHOLE else float(text)


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
