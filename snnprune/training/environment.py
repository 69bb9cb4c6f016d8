"""The environment of a run: everything but its configuration that its results depend on."""

import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from ..version import __version__

# Entries that decide the last bits of a result.
DECISIVE = ("torch", "threads", "processor", "gpu")


def environment() -> dict[str, Any]:
    """Return everything but the configuration that results depend on: versions, hardware, threads, command, date."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "snnprune": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "spikingjelly": metadata.version("spikingjelly"),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "cuda": torch.version.cuda,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def different(first: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return in words how one environment differs from another in what decides bits; empty where it does not."""
    changed = [name for name in DECISIVE if first.get(name) != now.get(name)]
    return ", ".join(f"{name} {now.get(name)} in place of {first.get(name)}" for name in changed)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
