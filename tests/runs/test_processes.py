"""Processes of a comparison that die: what is done is kept, and no process is left over."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from snnprune.runs.guard import Terminated, guard

ROOT = Path(__file__).parents[2]
PROTOCOL = """
methods = ["dense", "gmp"]
densities = [0.2]
sides = ["ann"]
seeds = [0, 1]

[run]
model = "digits-mlp"
data = "digits"
epochs = {epochs}
images = 128
batch_size = 32
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system has no /proc")


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


def start(protocol: Path, out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "experiments.compare", protocol, "--out", out, "--jobs", "2", "--compile", "off"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*map(str, command)], cwd=ROOT, env=environment, text=True, start_new_session=True, **pipes)  # type: ignore[call-overload]


def workers_of(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children")
    found = [int(child) for child in children.read_text().split()] if children.is_file() else []
    return [child for child in found if b"spawn_main" in _command(child) and b"resource_tracker" not in _command(child)]


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def checkpoints(out: Path) -> list[Path]:
    return list(out.glob("ann/*/checkpoint.safetensors"))


@needs_proc
def test_a_worker_that_is_killed_is_one_line_and_what_is_done_is_in_the_table(tmp_path):
    protocol, out = tmp_path / "one.toml", tmp_path / "runs"
    protocol.write_text(PROTOCOL.format(epochs=2))
    process = start(protocol, out)
    process.communicate(timeout=240)
    assert process.returncode == 0
    for seed in (0, 1):
        shutil.rmtree(out / "ann" / f"gmp-20-{seed}")
    process = start(protocol, out)
    wait_for(lambda: workers_of(process.pid))
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    table, errors = process.communicate(timeout=240)
    assert process.returncode == 2
    assert "| dense |" in table
    assert "| gmp |" not in table
    message = [line for line in errors.splitlines() if "has died" in line]
    assert message == ["a process that carried out runs has died (killed, or out of memory): the same command goes on"]
    assert "2 of 4 runs failed and are not in the table" in errors
    assert "Traceback" not in errors
    assert not workers_of(process.pid)


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent(tmp_path, number):
    protocol, out = tmp_path / "long.toml", tmp_path / "runs"
    protocol.write_text(PROTOCOL.format(epochs=4000))
    process = start(protocol, out)
    wait_for(lambda: len(checkpoints(out)) == 2)
    workers = workers_of(process.pid)
    assert len(workers) == 2
    process.send_signal(number)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == (130 if number == signal.SIGTERM else -signal.SIGKILL)
    wait_for(lambda: not any(map(alive, workers)), seconds=30)
    if number == signal.SIGTERM:
        assert "what is done is kept: the same command goes on" in errors
        assert "Traceback" not in errors


def test_sigterm_ends_a_script_in_one_line(capsys):
    before = signal.getsignal(signal.SIGTERM)
    assert guard(lambda: signal.raise_signal(signal.SIGTERM)) == 130
    assert capsys.readouterr().err == "interrupted; what was saved is kept\n"
    assert signal.getsignal(signal.SIGTERM) is before
    assert issubclass(Terminated, KeyboardInterrupt)
