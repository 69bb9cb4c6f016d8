"""Scoring by magnitude and allocating globally, beside torch.nn.utils.prune, on the CIFAR-10 network of Grad R.

    python -m benchmarks.global_magnitude

36,715,264 weights to 5 %. Each repetition runs both, in turns; every measurement of memory is in a process of its own.
Writes benchmarks/results/global_magnitude.json.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import nn
from torch.nn.utils import prune

import models
from benchmarks.memory import in_fresh_process, peak, reset_peak, resident
from snnprune import Connectivity, allocation, criteria, find_synapses
from snnprune.storage import write_text
from snnprune.training import environment

DENSITY = 0.05


def ours(network: nn.Module) -> Connectivity:
    """Scores by magnitude, ranked globally."""
    return allocation.global_ranking(criteria.magnitude(network), DENSITY)


def torchs(network: nn.Module) -> None:
    """The same by torch.nn.utils.prune, which wraps the weights; the wrapping is undone by the caller."""
    layers = [(entry.module, "weight") for entry in find_synapses(network).values()]
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=1 - DENSITY)


def build() -> nn.Module:
    """The network, with equal weights in every process."""
    torch.manual_seed(0)
    return models.build("cifar10-cnn")


def restore(network: nn.Module) -> None:
    """Undo what torch.nn.utils.prune did."""
    for module in network.modules():
        if hasattr(module, "weight_orig"):
            prune.remove(module, "weight")


def seconds(work: Callable[[nn.Module], object]) -> float:
    """Of one call, on a network that was not pruned before."""
    network = build()
    began = time.perf_counter()
    work(network)
    return time.perf_counter() - began


def copies(work: Callable[[nn.Module], object]) -> float:
    """Memory at its peak, less that before the call, in copies of the weights; called in a fresh process."""
    network = build()
    weights = sum(entry.parameter.nbytes for entry in find_synapses(network).values())
    reset_peak()
    before = resident()
    work(network)
    return (peak() - before) / weights


def measure(repetitions: int) -> dict[str, object]:
    """Both ways, side by side."""
    times: dict[str, list[float]] = {"ours": [], "torch": []}
    ways = (("ours", ours), ("torch", torchs))
    for _ in range(repetitions):
        for name, work in ways:
            times[name].append(seconds(work))
    network = build()
    kept = ours(network).nonzero
    torchs(network)
    restore(network)
    return {
        "weights": sum(entry.parameter.numel() for entry in find_synapses(network).values()),
        "kept": {"ours": kept, "torch": Connectivity.from_network(network).nonzero},
        "seconds": {name: round(median(values), 3) for name, values in times.items()},
        "times_as_fast": round(median(times["torch"]) / median(times["ours"]), 1),
        "copies_of_the_weights": {name: round(in_fresh_process(copies, work), 2) for name, work in ways},
        "repetitions": repetitions,
        "environment": environment(),
    }


def main() -> int:
    """Run the script; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--results", default="benchmarks/results/global_magnitude.json")
    options = parser.parse_args()
    found = measure(options.repetitions)
    print(json.dumps(found, indent=1))
    write_text(Path(options.results), json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
