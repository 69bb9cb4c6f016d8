"""The jobs that want a GPU, each one command that can be called again until it is done.

    python -m benchmarks.gpu cifar10-gradr-5 --data-root data

A call stops by itself after --stop-after seconds and saves; the next call goes on. What is worth keeping is small and
lands in benchmarks/results/gpu/JOB: summary, metrics, connectivity and non-zero weights, environment.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from snnprune import InputError
from snnprune.runs.config import Config, Runtime
from snnprune.runs.guard import guard
from snnprune.runs.run import execute

KEPT = ("config.json", "environment.json", "summary.json", "metrics.jsonl", "connectivity.npz")
CIFAR10 = {
    "model": "cifar10-cnn",
    "data": "cifar10",
    "epochs": 60,
    "batch_size": 128,
    "hold": 0.0,
    "precision": "bf16",
}
TRAININGS = {
    "cifar10-dense": Config(method="dense", **CIFAR10),
    "cifar10-gradr-5": Config(method="gradr", density=0.05, **CIFAR10),
    "cifar10-gradr-2.3": Config(method="gradr", density=0.023, **CIFAR10),
    "cifar10-gradr-1.2": Config(method="gradr", density=0.012, **CIFAR10),
    "cifar10-gradr-0.75": Config(method="gradr", density=0.0075, **CIFAR10),
    "cifar10-gmp-2.3": Config(method="gmp", density=0.023, **CIFAR10),
    "cifar10-gmp-0.75": Config(method="gmp", density=0.0075, **CIFAR10),
    "cifar10-stds-2.3": Config(method="stds", density=0.023, **CIFAR10),
    "cifar10-stds-0.75": Config(method="stds", density=0.0075, **CIFAR10),
    "cifar10-upr-2.3": Config(method="upr", density=0.023, **CIFAR10),
    "cifar10-upr-0.75": Config(method="upr", density=0.0075, **CIFAR10),
}
STEP = ["-m", "benchmarks.training_step", "--device", "cuda", "--precision", "bf16"]
COMMANDS = {
    "cuda-tests": ["-m", "pytest", "-k", "cuda"],
    "training-step-mnist": [*STEP, "--model", "mnist-mlp"],
    "training-step-cifar10": [*STEP, "--model", "cifar10-cnn", "--batch-size", "128", "--block", "10"],
}


def train(name: str, stop_after: float, device: str, data_root: str | None, scratch: Path, results: Path) -> None:
    """Start or go on with a training; copy what is small once it is done."""
    folder = scratch / name
    resume = (folder / "config.json").is_file()
    runtime = Runtime(
        out=str(folder), resume=resume, device=device, data_root=data_root, no_download=True, stop_after=stop_after
    )
    summary = execute(TRAININGS[name], runtime)
    (results / name).mkdir(parents=True, exist_ok=True)
    for file in KEPT:
        shutil.copyfile(folder / file, results / name / file)
    print(f"{name}: {summary['accuracy']:.2%} with {summary['density']:.3%} of the synapses")


def main() -> int:
    """Run the script; returns its exit status (130: stopped by the clock, call again)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", help=", ".join([*COMMANDS, *TRAININGS]))
    parser.add_argument("--stop-after", type=float, default=480, help="seconds (default: %(default)s)")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data-root", default=None)
    parser.add_argument(
        "--scratch", default="runs/gpu", help="run folders with their checkpoints (default: %(default)s)"
    )
    parser.add_argument("--results", default="benchmarks/results/gpu", help="what is kept (default: %(default)s)")
    options = parser.parse_args()
    if options.job in COMMANDS:
        environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
        return subprocess.run([sys.executable, *COMMANDS[options.job]], env=environment).returncode
    return guard(lambda: _train(options))


def _train(options: argparse.Namespace) -> None:
    if options.job not in TRAININGS:
        raise InputError(f"unknown job {options.job!r}: known are {', '.join([*COMMANDS, *TRAININGS])}")
    scratch, results = Path(options.scratch), Path(options.results)
    train(options.job, options.stop_after, options.device, options.data_root, scratch, results)


if __name__ == "__main__":
    sys.exit(main())
