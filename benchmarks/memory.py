"""Memory of this process, as Linux counts it, and measurements in processes of their own."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any


def resident() -> int:
    """Bytes that this process holds in memory now."""
    return _status("VmRSS")


def peak() -> int:
    """The most bytes that it held since `reset_peak`."""
    return _status("VmHWM")


def reset_peak() -> None:
    """Let the peak count from here; a child would else inherit its parent's."""
    Path("/proc/self/clear_refs").write_text("5")


def in_fresh_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """The result of `work`, called in a process that did nothing else."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))
