"""Cost of a budget: counting operations beside a plain evaluation, and placing a network on every chip.

    python -m benchmarks.budget

Evaluations with and without counting take turns; the ratio is of their medians. Networks have fresh weights whose
thresholds are lowered so that every layer spikes. Memory is that of a process of its own. Writes
benchmarks/results/budget.json.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

import models
from benchmarks.memory import in_fresh_process, peak
from benchmarks.training_step import image_shape
from snnprune import Connectivity, criteria
from snnprune.budget import CHIPS, count_operations, find_chip, wire
from snnprune.budget.placement import fit
from snnprune.runs.options import add_several
from snnprune.storage import write_text
from snnprune.synapses import reset_neurons
from snnprune.training import environment

BATCHES = 8
BATCH = {"cifar10-cnn": 16}
ROUNDS = {"cifar10-cnn": 2}  # its evaluation takes long enough to be timed well
CASES = (("mnist-mlp", 0.03), ("cifar10-cnn", 0.05), ("cifar10-cnn", 1.0))


def build(model: str) -> nn.Module:
    """A network in evaluation mode that spikes."""
    torch.manual_seed(0)
    network = models.build(model, timesteps=8).eval()
    for module in network.modules():
        if isinstance(module, neuron.BaseNode):
            module.v_threshold = 0.05
    return network


def counting(model: str, batch: int, rounds: int) -> dict[str, float]:
    """Seconds of an evaluation of eight batches, and of one that counts."""
    network, images = build(model), [torch.randn(batch, *image_shape(model)) for _ in range(BATCHES)]
    seconds: dict[str, list[float]] = {"plain": [], "counting": []}
    for _ in range(rounds + 1):
        for name, times in seconds.items():
            began = time.perf_counter()
            _plain(network, images) if name == "plain" else count_operations(network, images)
            times.append(time.perf_counter() - began)
    found = {name: median(times[1:]) for name, times in seconds.items()}
    return {**found, "ratio": found["counting"] / found["plain"]}


@torch.no_grad()
def _plain(network: nn.Module, batches: list[Tensor]) -> None:
    for images in batches:
        reset_neurons(network)
        network(images)


def placing(model: str, density: float) -> dict[str, object]:
    """Seconds and peak memory of placing a network on all chips; called in a fresh process."""
    network = build(model)
    kept = Connectivity.from_scores(criteria.random(network), density)
    example = torch.zeros(1, *image_shape(model))
    _plain(network, [example])  # what a first pass imports is none of the budget's
    began = time.perf_counter()
    layers = wire(network, example, connectivity=kept)
    verdicts = {name: fit(layers, find_chip(name)).verdict for name in CHIPS.names()}
    return {"seconds": time.perf_counter() - began, "peak_gb": peak() / 1e9, "verdicts": verdicts}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=None, help="default: 128, for CIFAR-10 16")
    parser.add_argument("--rounds", type=int, default=None, help="default: 15, for CIFAR-10 2")
    add_several(parser, "--models", default=["mnist-mlp", "cifar10-cnn"], choices=models.names())
    parser.add_argument("--results", default="benchmarks/results/budget.json")
    options = parser.parse_args(arguments)
    content = {
        "counting": {
            model: counting(model, options.batch_size or BATCH.get(model, 128), options.rounds or ROUNDS.get(model, 15))
            for model in options.models
        },
        "placing": {
            f"{model}, {100 * density:g} %": in_fresh_process(placing, model, density)
            for model, density in CASES
            if model in options.models
        },
        "environment": environment(),
    }
    print(json.dumps(content, indent=1))
    write_text(Path(options.results), json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
