"""Cost of each method in a training step, in time and memory, on the CIFAR-10 network of Grad R.

    python -m benchmarks.rewiring_cost

Methods act in the optimizer's step alone, so that is what is timed: fused Adam by itself, and with each method, in
turns of 100 steps on given gradients. An update of the connectivity, every 100 steps, falls into each turn. What a
method adds is then a share of the whole training step (forward, backward, plain Adam), which is timed in the same run.
Memory is measured in a process of its own for each method, over eight steps that hold the whole life of a rewiring:
start, updates, freezing. Writes benchmarks/results/rewiring_cost.json.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.optim import Adam

import models
from benchmarks.memory import in_fresh_process, peak, reset_peak, resident
from benchmarks.training_step import Variant, image_shape
from snnprune import Method, find_synapses, methods
from snnprune.runs.options import add_several
from snnprune.storage import write_text
from snnprune.training import environment

DENSITY = 0.05
# What a row is called -> the method and what it is given besides density and steps.
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "gradr, alpha": ("gradr", {"alpha": 1e-2}),
    **{name: (name, {"density": DENSITY}) for name in ("gradr", "softdeepr", "deepr", "stds", "upr")},
    **{name: (name, {"density": DENSITY}) for name in ("set", "rigl", "esl", "ndsnn", "gmp", "movement", "uticket")},
}
# So long that nothing settles within the benchmark, with an update every 100 steps.
LONG = 1_000_000
SHORT = 8


class Subject:
    """A network with an optimizer, gradients, and perhaps a method."""

    def __init__(self, model: str, row: str | None, steps: int) -> None:
        torch.manual_seed(0)
        self.network = models.build(model)
        self.images = torch.randn(1, *image_shape(model))
        self.optimizer = Adam(self.network.parameters(), lr=1e-3, fused=True)
        self.parameters = [entry.parameter for entry in find_synapses(self.network).values()]
        self.gradients = [1e-3 * torch.randn_like(parameter) for parameter in self.parameters]
        if row is not None:
            self.rewire(row, steps)

    def rewire(self, row: str, steps: int) -> Method:
        """Hang a method on the optimizer."""
        name, options = ROWS[row]
        batches = [(self.images, torch.zeros(1, dtype=torch.long))]
        method = methods.create(name, self.network, self.optimizer, steps=steps, batches=batches, **options)
        method.compile()
        return method

    def step(self) -> float:
        """Seconds of one step of the optimizer on fresh gradients, which methods may change."""
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
            parameter.grad.copy_(gradient)
        began = time.perf_counter()
        self.optimizer.step()
        return time.perf_counter() - began


def measure_times(model: str, rows: list[str], rounds: int, block: int) -> dict[str, list[float]]:
    """Mean seconds of an optimizer's step in every turn; "adam" is without a method."""
    subjects = {"adam": Subject(model, None, LONG)} | {row: Subject(model, row, LONG) for row in rows}
    for subject in subjects.values():
        subject.step()
    seconds: dict[str, list[float]] = {row: [] for row in subjects}
    for _ in range(rounds):
        for row, subject in subjects.items():
            seconds[row].append(sum(subject.step() for _ in range(block)) / block)
    return seconds


def measure_memory(model: str, row: str) -> tuple[float, float]:
    """Memory of a method between steps, and at its peak beyond plain Adam, in copies of the weights."""
    Subject(model, None, SHORT).step()  # what a first step takes once and for all is none of the method's
    subject = Subject(model, None, SHORT)
    subject.step()
    weights = sum(parameter.nbytes for parameter in subject.parameters)
    reset_peak()
    before = resident()
    method = subject.rewire(row, SHORT)
    held = 0
    for _ in range(SHORT):
        subject.step()
        held = max(held, sum(tensor.nbytes for kind in method.state.values() for tensor in kind.values()))
    return held / weights, (peak() - before) / weights


def whole_step(options: argparse.Namespace) -> float:
    """Seconds of a training step as `experiments.train` does it, with plain Adam: the median."""
    variant = Variant("default", "adam", options)
    seconds = [variant.step() for _ in range(2 + options.whole_steps)]
    return median(seconds[2:])  # the first ones compile


def report(seconds: dict[str, list[float]], whole: float, memory: dict[str, tuple[float, float]]) -> list[dict]:
    """One row for each method: milliseconds beside Adam's, the share of a training step, copies of the weights."""
    rows = []
    for row, times in seconds.items():
        ratios = [own / plain for own, plain in zip(times, seconds["adam"], strict=True)]
        added = median(times) - median(seconds["adam"])
        held, most = memory.get(row, (0.0, 0.0))
        rows.append(
            {
                "method": row,
                "optimizer_ms": round(1e3 * median(times), 1),
                "over_adam": round(median(ratios), 2),
                "share_of_step": round(added / whole, 4),
                "copies_held": round(held, 2),
                "copies_at_peak": round(most, 2),
            }
        )
    return rows


def show(rows: list[dict], whole: float) -> None:
    """Print the rows as a Markdown table."""
    print(f"A whole training step with plain Adam: {1e3 * whole:,.0f} ms\n")
    print("| method | optimizer's step | over Adam | of a training step | copies held | at the peak |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['method']} | {row['optimizer_ms']:,.0f} ms | {row['over_adam']:.2f} | {row['share_of_step']:.1%} "
            f"| {row['copies_held']:.2f} | {row['copies_at_peak']:.2f} |"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cifar10-cnn", choices=models.names())
    add_several(parser, "--methods", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--timesteps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each method (default: %(default)s)")
    parser.add_argument("--block", type=int, default=100, help="steps in a turn (default: %(default)s)")
    parser.add_argument("--whole-steps", type=int, default=5, help="whole training steps (default: %(default)s)")
    parser.add_argument("--results", default="benchmarks/results/rewiring_cost.json")
    options = parser.parse_args(arguments)
    options.device, options.precision = "cpu", "fp32"
    memory = {row: in_fresh_process(measure_memory, options.model, row) for row in options.methods}
    seconds = measure_times(options.model, options.methods, options.rounds, options.block)
    whole = whole_step(options)
    rows = report(seconds, whole, memory)
    show(rows, whole)
    content = {"options": vars(options), "environment": environment(), "whole_step_ms": 1e3 * whole, "rows": rows}
    write_text(Path(options.results), json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
