"""What a comparison says: mean and spread over the seeds, which method is best, and whether the seeds can tell."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev, variance

from scipy.stats import t as student_t

from experiments.protocol import CONTROLS, Run

SIDE_NAMES = {"snn": "spiking network", "ann": "ANN twin"}


@dataclass(frozen=True)
class Result:
    """One row of the table.

    Attributes:
        method: its name in the table.
        side: "snn" or "ann".
        density: asked for; 1 for dense.
        seed: of the table.
        accuracy: share of the evaluation images answered right.
        seconds: of training.
        folder: its run folder.
    """

    method: str
    side: str
    density: float
    seed: int
    accuracy: float
    seconds: float
    folder: Path

    @classmethod
    def of(cls, run: Run) -> "Result":
        """What a run that is done came to."""
        summary = json.loads((run.folder / "summary.json").read_text())
        seconds = round(summary["seconds"], 1)
        return cls(run.method, run.side, run.density, run.seed, summary["accuracy"], seconds, run.folder)

    @property
    def control(self) -> bool:
        """Whether this is no method, but a check of one."""
        return self.method.endswith(tuple(f"-{name}" for name in CONTROLS))


def table(results: Sequence[Result]) -> str:
    """Mean and spread (standard deviation over the seeds) in percent; the best method of each density is bold."""
    densities = sorted({result.density for result in results}, reverse=True)
    best = {density: _best(results, density) for density in densities}
    lines = [
        "| method | " + " | ".join("dense" if d == 1 else f"{100 * d:g} %" for d in densities) + " |",
        "|---" * (len(densities) + 1) + "|",
    ]
    for method in dict.fromkeys(result.method for result in results):
        cells = []
        for density in densities:
            text = cell(accuracies(results, method, density))
            cells.append(f"**{text}**" if best[density][:1] == [method] and density < 1 else text)
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def sentences(results: Sequence[Result]) -> list[str]:
    """For each density which method is best, and by whether more than the margin that the seeds leave."""
    lines = []
    for density in sorted({result.density for result in results if result.density < 1}, reverse=True):
        first, *others = _best(results, density)
        if not others:
            continue
        lines.append(f"- At {100 * density:g} % **{first}** is best ({cell(accuracies(results, first, density))} %)")
        ours, theirs = (accuracies(results, method, density) for method in (first, others[0]))
        lines[-1] += f", {mean(ours) - mean(theirs):.2f} points ahead of {others[0]}: "
        if min(len(ours), len(theirs)) < 2:
            lines[-1] += "one seed, so nothing can be said of chance."
            continue
        lines[-1] += f"{'more than' if told_apart(ours, theirs) else 'within'} the margin ({margin(ours, theirs):.2f})."
        near = [m for m in others if not told_apart(ours, accuracies(results, m, density))]
        if len(near) > 1:
            lines[-1] += f" Not told apart from it: {', '.join(near)}."
    return lines


def margin(first: Sequence[float], second: Sequence[float]) -> float:
    """How far apart two means must at least be to be told apart: Welch's t-test, two-sided, at 5 %.

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


def told_apart(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two means differ by more than the margin; never, with a single seed."""
    return abs(mean(first) - mean(second)) > margin(first, second)


def _best(results: Iterable[Result], density: float) -> list[str]:
    """Methods at a density, the best first; controls are none."""
    at = [result for result in results if result.density == density and not result.control]
    methods = dict.fromkeys(result.method for result in at)
    return sorted(methods, key=lambda method: -mean(accuracies(at, method, density)))


def accuracies(results: Iterable[Result], method: str, density: float) -> list[float]:
    """In percent, one for each seed."""
    return [100 * r.accuracy for r in results if (r.method, r.density) == (method, density)]


def spread(values: Sequence[float]) -> float:
    """Standard deviation over the seeds; 0 for a single one."""
    return stdev(values) if len(values) > 1 else 0.0


def cell(values: Sequence[float]) -> str:
    """Mean and spread as text; empty where nothing was measured."""
    if not values:
        return ""
    return f"{mean(values):.2f}" + (f" ± {spread(values):.2f}" if len(values) > 1 else "")
