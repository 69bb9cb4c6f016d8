"""Verdict of a comparison: mean and spread over the seeds, the best method, and whether it is distinguishable."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev, variance

from scipy.stats import t as student_t

from ...report.comparison.sides import CONTROL_ENDINGS
from ...training import RunFolder
from ..summary import read_summary
from .protocol import Run


@dataclass(frozen=True)
class Result:
    """One row of the table.

    Attributes:
        method: its name in the table.
        side: "snn" or "ann".
        density: requested; 1 for dense.
        seed: of the table.
        accuracy: on the evaluation images, in [0, 1].
        seconds: of training; None where they are not known.
        folder: its run folder.
    """

    method: str
    side: str
    density: float
    seed: int
    accuracy: float
    seconds: float | None
    folder: Path

    @classmethod
    def of(cls, run: Run) -> "Result":
        """Read the result of a finished run.

        Raises:
            InputError: its summary is missing or damaged.
        """
        summary = read_summary(RunFolder(run.folder))
        seconds = None if summary["seconds"] is None else round(summary["seconds"], 1)
        return cls(run.method, run.side, run.density, run.seed, summary["accuracy"], seconds, run.folder)

    @property
    def control(self) -> bool:
        """Whether this is a control, not a method."""
        return self.method.endswith(CONTROL_ENDINGS)


def table(results: Sequence[Result]) -> str:
    """Return mean and spread (standard deviation over the seeds) in percent, as Markdown.

    A method is bold where it exceeds the next best by more than the margin; with a single seed none is.
    """
    densities = sorted({result.density for result in results}, reverse=True)
    winners = {density: _winner(results, density) for density in densities}
    lines = [
        "| method | " + " | ".join("dense" if d == 1 else f"{100 * d:g} %" for d in densities) + " |",
        "|---" * (len(densities) + 1) + "|",
    ]
    for method in dict.fromkeys(result.method for result in results):
        cells = []
        for density in densities:
            text = cell(accuracies(results, method, density))
            cells.append(f"**{text}**" if method == winners[density] else text)
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def sentences(results: Sequence[Result]) -> list[str]:
    """Return a line for each density: the best method, its lead, and the methods not distinguishable from it.

    Densities at which one of the two best methods has a single seed are only listed.
    """
    lines, untested = [], []
    for density in sorted({result.density for result in results if result.density < 1}, reverse=True):
        first, *others = _best(results, density)
        if not others:
            continue
        ours, theirs = (accuracies(results, method, density) for method in (first, others[0]))
        if min(len(ours), len(theirs)) < 2:
            untested.append(f"{100 * density:g} %")
            continue
        won = distinguishable(ours, theirs)
        words = f"**{first}** is best" if won else f"{first} has the highest mean"
        lead = f"{mean(ours) - mean(theirs):.2f} points ahead of {others[0]}"
        size = f"{'more than' if won else 'within'} the margin ({margin(ours, theirs):.2f})"
        lines.append(f"- At {100 * density:g} % {words} ({cell(ours)} %), {lead}: {size}.")
        near = [m for m in others if not distinguishable(ours, accuracies(results, m, density))]
        if near and near != others[:1]:
            lines[-1] += f" Not distinguishable from it: {', '.join(near)}."
    if untested:
        lines.append(f"- At {', '.join(untested)} there is one seed: differences between methods are not tested.")
    return lines


def margin(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the difference of two means above which they are distinguishable: Welch's t-test, two-sided, at 5 %.

    t * sqrt(s1^2 / n1 + s2^2 / n2), with the degrees of freedom of Welch and Satterthwaite; infinite with one seed.
    """
    if min(len(first), len(second)) < 2:
        return math.inf
    parts = [(variance(values) / len(values), len(values) - 1) for values in (first, second)]
    whole = sum(part for part, _ in parts)
    if whole == 0:
        return 0.0
    freedom = whole**2 / sum(part**2 / own for part, own in parts)
    return float(student_t.ppf(0.975, freedom)) * math.sqrt(whole)


def distinguishable(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two means differ by more than the margin; never, with a single seed."""
    return abs(mean(first) - mean(second)) > margin(first, second)


def _winner(results: Sequence[Result], density: float) -> str | None:
    """Return the method that exceeds the next best by more than the margin, if there is one; never "dense"."""
    ranking = _best(results, density)
    if density == 1 or len(ranking) < 2:
        return None
    first, second = (accuracies(results, method, density) for method in ranking[:2])
    return ranking[0] if distinguishable(first, second) else None


def _best(results: Iterable[Result], density: float) -> list[str]:
    """Return the methods at a density, the best first, without controls."""
    at = [result for result in results if result.density == density and not result.control]
    methods = dict.fromkeys(result.method for result in at)
    return sorted(methods, key=lambda method: -mean(accuracies(at, method, density)))


def accuracies(results: Iterable[Result], method: str, density: float) -> list[float]:
    """Return accuracies in percent, one for each seed."""
    return [100 * r.accuracy for r in results if (r.method, r.density) == (method, density)]


def spread(values: Sequence[float]) -> float:
    """Return the standard deviation over the seeds; 0 for a single one."""
    return stdev(values) if len(values) > 1 else 0.0


def cell(values: Sequence[float]) -> str:
    """Return mean and spread as text; empty where nothing was measured."""
    if not values:
        return ""
    return f"{mean(values):.2f}" + (f" ± {spread(values):.2f}" if len(values) > 1 else "")
