"""A run folder: a run's configuration and results, and a single-writer lock."""

import json
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import filelock
import torch

from ..errors import InputError
from ..storage import write_text
from ..version import __version__


class RunFolder:
    """A folder that belongs to one training while it is open (`with RunFolder(path) as folder`).

    The lock is released when the process ends, however that happens.

    Attributes:
        path: the folder.
        checkpoint: path of the checkpoint, whether it exists or not.

    Raises:
        InputError: on opening, if another process has the folder open, or it cannot be created.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.checkpoint = self.path / "checkpoint.safetensors"
        self._lock = filelock.FileLock(self.path / ".lock", timeout=0)

    def __enter__(self) -> "RunFolder":
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except filelock.Timeout as error:
            raise InputError(f"{self.path} is in use by another run: wait for it, or choose another --out") from error
        except OSError as error:
            raise InputError(f"cannot write to {self.path}: {error.strerror or error}; choose another --out") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def start(self, config: Mapping[str, Any]) -> None:
        """Write `config.json` and `environment.json` of a new training.

        Raises:
            InputError: the folder is not empty.
        """
        # Hidden files are the lock, and temporary files of a process that was killed: they do not count.
        if found := sorted(path.name for path in self.path.iterdir() if not path.name.startswith(".")):
            kind = "a run" if "config.json" in found else f"other files ({', '.join(found[:3])})"
            resume = "add --resume to continue it, or " if kind == "a run" else ""
            raise InputError(f"{self.path} holds {kind} already: {resume}choose another --out")
        self.write_json("config.json", config)
        self.write_json("environment.json", environment())

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of `metrics.jsonl`, one for each epoch; an incomplete last line is left out."""
        rows = []
        if (path := self.path / "metrics.jsonl").is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    rows.append(json.loads(line))
                except json.JSONDecodeError:
                    break
        return rows

    def keep_rows(self, epochs: int) -> None:
        """Drop the rows of later epochs than `epochs`, the number of epochs in the checkpoint."""
        lines = [json.dumps(row) + "\n" for row in self.rows() if row["epoch"] <= epochs]
        write_text(self.path / "metrics.jsonl", "".join(lines))

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Append a row to `metrics.jsonl`."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file into this folder, atomically."""
        write_text(self.path / name, json.dumps(content, indent=2) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of this folder.

        Raises:
            InputError: it is missing or damaged.
        """
        path = self.path / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InputError(f"{self.path} holds no run: {name} is missing") from error
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error})") from error
        if not isinstance(content, dict):
            raise InputError(f"{path} is damaged: expected a JSON object, found {type(content).__name__}")
        return content


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


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
