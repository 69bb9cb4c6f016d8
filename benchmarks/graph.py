"""Cost of looking into a network, and a table of what was seen in many networks.

    python -m benchmarks.graph
    python -m benchmarks.graph --battery docs/results/graph-battery.csv

The first command measures, in turns with plain passes: recording the graph at batch 32, counting operations over eight
batches of 128, and the effective connectivity of the CIFAR-10 network at 5 % in a process of its own. The second
records every network of the battery of the tests, counts its operations one sample at a time against torch's own calls,
and takes away what is not effective. Writes benchmarks/results/graph.json, or the table.
"""

import argparse
import csv
import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

import models
from benchmarks.memory import in_fresh_process, peak
from benchmarks.training_step import image_shape
from snnprune import Connectivity, criteria, effective_connectivity
from snnprune.budget import count_operations
from snnprune.graph import record
from snnprune.storage import write_text
from snnprune.synapses import reset_neurons
from snnprune.training import environment

ROUNDS = 9


def plain(network: nn.Module, batches: Sequence[Tensor]) -> None:
    """Run a network on batches, and look at nothing."""
    with torch.no_grad():
        for batch in batches:
            reset_neurons(network)
            network(batch)


def ratios(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each way, in turns, and its ratio to the first."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    found = {name: median(times[1:]) for name, times in seconds.items()}
    base = next(iter(found.values()))
    return {**found, **{f"{name} / {next(iter(found))}": value / base for name, value in found.items()}}


def recording(model: str, rounds: int) -> dict[str, float]:
    """Recording beside one plain pass, at batch 32."""
    network, images = models.build(model, timesteps=8).eval(), torch.randn(32, *image_shape(model))
    return ratios({"plain": lambda: plain(network, [images]), "record": lambda: record(network, images)}, rounds)


def counting(model: str, rounds: int) -> dict[str, float]:
    """Counting beside a plain evaluation, eight batches of 128."""
    network, batches = models.build(model, timesteps=8).eval(), [torch.randn(128, *image_shape(model))] * 8
    ways = {"plain": lambda: plain(network, batches), "count": lambda: count_operations(network, batches)}
    return ratios(ways, rounds)


def effective(model: str) -> dict[str, float]:
    """Seconds and peak memory of the effective connectivity at 5 %; called in a fresh process."""
    network, image = models.build(model, timesteps=8).eval(), torch.randn(1, *image_shape(model))
    kept = Connectivity.from_scores(criteria.random(network), 0.05)
    plain(network, [image])
    before, began = peak(), time.perf_counter()
    found = effective_connectivity(network, kept, image)
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "peak_gb": peak() / 1e9,
        "before_gb": before / 1e9,
        "of_kept": found.nonzero / kept.nonzero,
    }


def battery(path: Path) -> None:
    """Write the table of the battery."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "graph"))
    from test_networks import intercepted, made, outputs, sparse  # type: ignore[import-not-found]
    from networks import CASES  # type: ignore[import-not-found]  # isort: skip

    rows = []
    for name, case in CASES.items():
        network, example, layout = made(case), case.example(), case.layout if case.given else None
        graph = record(network, example, layout)
        kept = sparse(network)
        found = count_operations(network, [example], connectivity=kept, layout=layout)
        equal = all(
            float(found.layers[layer].per_sample[index]) == count
            for index in range(example.shape[case.axis])
            for layer, count in intercepted(network, example.narrow(case.axis, index, 1)).items()
        )
        network = made(case)
        kept = sparse(network, 0.1)
        before = outputs(network, example)
        alive = effective_connectivity(network, kept, example)
        alive.apply_(network)
        same = all(torch.equal(old, new) for old, new in zip(before, outputs(network, example), strict=True))
        rows.append(
            {
                "network": name,
                "layout": graph.layout[0],
                "time steps": graph.timesteps,
                "populations": len(graph.populations),
                "projections": len(graph.projections),
                "operations of each sample equal": equal,
                "kept": kept.nonzero,
                "of these effective": alive.nonzero,
                "outputs without the others the same bits": same,
            }
        )
        print(*rows[-1].values(), flush=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--battery", type=Path, default=None, help="write the table of the battery into this .csv file")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--large", default="cifar10-cnn", choices=models.names())
    parser.add_argument("--results", default="benchmarks/results/graph.json")
    options = parser.parse_args(arguments)
    if options.battery is not None:
        battery(options.battery)
        return 0
    torch.manual_seed(0)
    content = {
        "recording": {model: recording(model, options.rounds) for model in ("mnist-mlp", "lenet5")},
        "counting": {model: counting(model, options.rounds) for model in ("mnist-mlp", "lenet5")},
        "effective": {options.large: in_fresh_process(effective, options.large)},
        "environment": environment(),
    }
    print(json.dumps(content, indent=1))
    write_text(Path(options.results), json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
