"""Cost of a training step, and the part that Grad R adds: every way of running side by side, in one process.

    python -m benchmarks.training_step --model mnist-mlp

Three ways to run the network:
  time-loop    one time step after another in eager mode, as the code of the Grad R paper does, plain Adam
  multi-step   SpikingJelly's multi-step mode in eager mode, plain Adam
  default      what `experiments.train` does: multi-step, channels last, torch.compile, fused Adam
Three things to train:
  adam         the dense network
  gradr        the published rule (alpha)
  closed-loop  Grad R to a density, in its living phase, with its regular selections
And, where they are asked for, the two without the checks at each step (weights and layers that were changed since the
last): gradr-unchecked, closed-loop-unchecked.

Machines are noisy, so the variants take turns, and the figures to quote are ratios: of the fastest turns, and of the
medians. A turn is a block of steps, and its figure their mean without the first few: with a turn of one step every
variant would find the caches full of another's tensors, which no training does, and all would look alike. Peak memory
is measured in a process of its own for each variant.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

import models
from benchmarks.memory import peak, reset_peak
from snnprune import GradR, Method, find_synapses
from snnprune.losses import mse
from snnprune.runs.options import add_several
from snnprune.storage import write_text
from snnprune.synapses import reset_neurons
from snnprune.training import environment, forward_of

WAYS = ("time-loop", "multi-step", "default")
METHODS = ("adam", "gradr", "closed-loop")
UNCHECKED = tuple(f"{name}-unchecked" for name in METHODS[1:])
SHAPES = {"digits-mlp": (1, 8, 8), "mnist-mlp": (1, 28, 28), "lenet5": (1, 28, 28)}
# A closed loop that never settles within a benchmark, with a selection every 100 steps.
LONG = 1_000_000


def image_shape(model: str) -> tuple[int, int, int]:
    """Channels, height and width of what a network takes."""
    return SHAPES.get(model, (3, 32, 32))


class Variant:
    """One way of running one method, with a network, optimizer and batch of its own."""

    def __init__(self, way: str, method: str, options: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.device = torch.device(options.device)
        self.bf16 = options.precision == "bf16"
        self.network = models.build(options.model, timesteps=options.timesteps).to(self.device)
        self.images = torch.randn(options.batch_size, *image_shape(options.model), device=self.device)
        self.labels = torch.randint(0, 10, (options.batch_size,), device=self.device)
        if self.device.type == "cuda" or way == "default":
            self.network.to(memory_format=torch.channels_last)
            self.images = self.images.contiguous(memory_format=torch.channels_last)
        self.optimizer = Adam(self.network.parameters(), lr=1e-3, fused=way == "default")
        self.method = self._rewire(method)
        self.forward: Callable[[Tensor], Tensor] = self.network
        if way == "time-loop":
            self.forward = lambda images: models.step_by_step(self.network, images)
        elif way == "default":
            self.forward = forward_of(self.network, "auto", steps=LONG)
            if self.method is not None and self.forward is not self.network:
                self.method.compile()

    def _rewire(self, method: str) -> Method | None:
        if method == "adam":
            return None
        rule: dict[str, Any] = {"alpha": 1e-2} if method.startswith("gradr") else {"density": 0.05, "steps": LONG}
        made = GradR(self.network, self.optimizer, **rule)
        if method in UNCHECKED:
            made._take_in = made._check_network = lambda: None
            made._last.remember = lambda weights: None
        return made

    def step(self) -> float:
        """One training step; its seconds."""
        began = time.perf_counter()
        reset_neurons(self.network)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            output = self.forward(self.images).float()
        loss = mse(output, self.labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began


def measure_times(options: argparse.Namespace) -> dict[str, list[float]]:
    """Mean seconds of a step in every turn of every variant; after a warm-up they take turns."""
    variants = {f"{way} {method}": Variant(way, method, options) for way in options.ways for method in options.methods}
    for variant in variants.values():
        for _ in range(options.warm_up):
            variant.step()
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(options.rounds):
        for name, variant in variants.items():
            steps = [variant.step() for _ in range(options.block)]
            seconds[name].append(mean(steps[options.block // 10 :]))
    return seconds


def measure_memory(way: str, method: str, options: argparse.Namespace) -> float:
    """Peak memory of three steps in MB, in this process: of the device, or what the process grew by on a CPU."""
    if options.device != "cpu":
        Variant(way, method, options).step()
        torch.cuda.reset_peak_memory_stats()
    reset_peak()
    before = peak()
    variant = Variant(way, method, options)
    for _ in range(3):
        variant.step()
    if options.device != "cpu":
        return torch.cuda.max_memory_allocated() / 1e6
    return (peak() - before) / 1e6


def memory_in_child(way: str, method: str, arguments: list[str]) -> float:
    """`measure_memory` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.training_step", *arguments, "--memory-of", way, method]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(result.stdout.splitlines()[-1])


def report(seconds: dict[str, list[float]], memory: dict[str, float]) -> list[dict[str, Any]]:
    """One row for each variant: its times, and its ratios to the time loop and to dense Adam run the same way."""
    rows = []
    for name, times in seconds.items():
        way, _, method = name.partition(" ")
        row: dict[str, Any] = {"way": way, "method": method, "fastest_ms": 1e3 * min(times)}
        row["median_ms"] = 1e3 * median(times)
        for label, other in (("speedup_over_time_loop", f"time-loop {method}"), ("cost_over_adam", f"{way} adam")):
            if other in seconds:
                ratios = [min(times) / min(seconds[other]), median(times) / median(seconds[other])]
                row[label] = [1 / ratio for ratio in ratios] if label.startswith("speedup") else ratios
        row["peak_memory_mb"] = memory.get(name)
        rows.append(row)
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Print the rows as a table; ratios as fastest / median."""
    print(f"{'':24}{'fastest':>10}{'median':>10}{'speed-up':>16}{'cost':>16}{'memory':>10}")
    for row in rows:
        pairs = [row.get("speedup_over_time_loop"), row.get("cost_over_adam")]
        speedup, cost = (f"{pair[0]:.3f} / {pair[1]:.3f}" if pair else "" for pair in pairs)
        memory = "" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:.0f} MB"
        name = f"{row['way']} {row['method']}"
        print(f"{name:24}{row['fastest_ms']:>8.2f}ms{row['median_ms']:>8.2f}ms{speedup:>16}{cost:>16}{memory:>10}")


def main() -> None:
    """Measure, print and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mnist-mlp", choices=models.names())
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--timesteps", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=12, help="turns of each variant (default: %(default)s)")
    parser.add_argument("--block", type=int, default=100, help="steps in a turn (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=5)
    add_several(parser, "--ways", default=list(WAYS), choices=WAYS)
    add_several(parser, "--methods", default=list(METHODS), choices=METHODS + UNCHECKED)
    parser.add_argument("--no-memory", action="store_true", help="leave the memory measurements out")
    parser.add_argument("--out", default=None, help="JSON file (default: benchmarks/results/training_step-MODEL.json)")
    parser.add_argument("--memory-of", nargs=2, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        way, method = options.memory_of
        print(measure_memory(way, method, options))
        return
    seconds = measure_times(options)
    memory = {}
    if not options.no_memory:
        for name in seconds:
            way, method = name.split(" ")
            memory[name] = memory_in_child(way, method, sys.argv[1:])
    rows = report(seconds, memory)
    synapses = sum(entry.parameter.numel() for entry in find_synapses(_plain(options)).values())
    print(f"{options.model}, {synapses:,} synapses, T={options.timesteps}, batch {options.batch_size}")
    show(rows)
    path = Path(options.out or f"benchmarks/results/training_step-{options.model}-{options.device}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in vars(options).items() if name not in ("memory_of", "out", "no_memory")}
    content = {"options": kept, "environment": environment() | {"load": os.getloadavg()[0]}, "rows": rows}
    write_text(path, json.dumps(content, indent=1) + "\n")


def _plain(options: argparse.Namespace) -> nn.Module:
    return models.build(options.model, timesteps=1)


if __name__ == "__main__":
    main()
