"""Runs that are killed at any operation on a file end like those that nobody interrupts."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs.killing import differing

ROOT = Path(__file__).parents[2]
SMALL = [
    "--model",
    "digits-mlp",
    "--data",
    "digits",
    "--images",
    "64",
    "--batch-size",
    "32",
    "--epochs",
    "2",
    "--quiet",
]
PROTOCOL = """
methods = ["dense", "gmp", "random"]
densities = [0.2]
sides = ["ann"]
seeds = [0]

[run]
model = "digits-mlp"
data = "digits"
epochs = 2
images = 64
batch_size = 32
"""
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def kill_trainings(folder: Path, first: int, step: int, *options: str) -> dict:
    command = [sys.executable, "-m", "tests.runs.killing", str(folder), str(first), str(step), "--", *SMALL, *options]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_a_training_that_is_killed_at_some_operations_ends_the_same(tmp_path):
    found = kill_trainings(tmp_path, 2, 7, "--density", "0.2")
    assert found["kills"] >= 5
    assert found["different"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--density", "0.2"],
        ["--method", "gmp", "--density", "0.2", "--validation", "64", "--option", "end=0.5"],
        ["--method", "dense", "--neuron", "relu"],
    ],
    ids=lambda options: "-".join(options[:2]),
)
def test_a_training_that_is_killed_at_every_operation_ends_the_same(tmp_path, options):
    found = kill_trainings(tmp_path, 1, 1, *options)
    assert found["kills"] == found["operations"] >= 30
    assert found["different"] == []


def compare(folder: Path, kill: dict | None = None) -> subprocess.CompletedProcess:
    (folder / "p.toml").write_text(PROTOCOL)
    hooks = folder / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "sitecustomize.py").write_text(
        "from tests.runs.killing import hook_from_environment\nhook_from_environment()\n"
    )
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{hooks}:{ROOT}"}
    if kill is not None:
        environment["SNNPRUNE_TEST_KILL"] = json.dumps({"folder": str(folder / "runs"), **kill})
    command = [sys.executable, "-m", "experiments.compare", folder / "p.toml", "--out", folder / "runs", "--jobs", "2"]
    return subprocess.run(
        [*map(str, command), "--compile", "off"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def table(folder: Path) -> list[list[str]]:
    rows = (folder / "runs" / "results.csv").read_text().splitlines()
    return [row.split(",")[:-1] for row in rows]  # without the seconds


@pytest.mark.slow
def test_a_comparison_with_two_workers_that_is_killed_ends_the_same(tmp_path_factory):
    whole = tmp_path_factory.mktemp("whole")
    assert compare(whole).returncode == 0
    runs = sorted(path.relative_to(whole) for path in (whole / "runs").glob("ann/*"))
    assert len(runs) == 3
    kills = 0
    for workers, numbers in ((True, range(1, 100, 9)), (False, range(1, 20, 4))):
        for number in numbers:
            folder = tmp_path_factory.mktemp(f"killed-{workers}-{number}-")
            once = folder / "killed"
            killed = compare(folder, {"deadly": number, "once": str(once), "workers": workers})
            kills += once.is_file()
            if once.is_file():
                assert killed.returncode == (2 if workers else -signal.SIGKILL)
                assert not workers or "has died (killed, or out of memory): the same command goes on" in killed.stderr
            assert compare(folder).returncode == 0
            assert table(folder) == table(whole)
            assert [name for run in runs for name in differing(whole / run, folder / run)] == []
    assert kills >= 12
