"""A run folder: a run's configuration and results, and a single-writer lock."""

import logging
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import filelock

from ..errors import InputError
from ..storage import (
    MissingFile,
    append_line,
    as_path,
    json_text,
    read_object,
    remove_leftovers,
    write_json,
    write_text,
)
from .environment import DECISIVE, different, environment
from .rows import Row, as_lines, read_rows, restored

logger = logging.getLogger(__name__)

_LOCK, _CONFIG, _ENVIRONMENT, _METRICS = ".lock", "config.json", "environment.json", "metrics.jsonl"
_FILES = (_CONFIG, _ENVIRONMENT, _METRICS, "checkpoint.safetensors", "connectivity.safetensors", "connectivity.npz")


class RunFolder:
    """A folder that belongs to one training while it is open (`with RunFolder(path) as folder`).

    The lock is released when the process ends, however that happens.

    Attributes:
        path: the folder.
        checkpoint: path of the checkpoint, whether it exists or not.

    Raises:
        InputError: on opening, if another process has the folder open, it cannot be created, or it holds links that
            lead out of it, or what is neither file nor folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = as_path(path)
        self.checkpoint = self.path / "checkpoint.safetensors"
        self._lock = filelock.FileLock(self.path / _LOCK, timeout=0)

    def __enter__(self) -> "RunFolder":
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            check_links(self.path)  # first: the lock's file is emptied when it is opened
            self._lock.acquire()
        except filelock.Timeout as error:
            raise InputError(f"{self.path} is in use by another run: wait for it, or choose another --out") from error
        except OSError as error:
            raise InputError(f"cannot write to {self.path}: {error.strerror or error}; choose another --out") from error
        self._remove_leftovers()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def start(self, config: Mapping[str, Any]) -> None:
        """Write `environment.json` and `config.json` of a new training; with the latter it has begun.

        Raises:
            InputError: the folder is not empty.
        """
        # Hidden files are the lock, and temporary files of a process that was killed: they do not count. A process that
        # was killed here may have left its environment.
        names = sorted(path.name for path in self.path.iterdir() if not path.name.startswith("."))
        if found := [name for name in names if name != _ENVIRONMENT]:
            kind = "a run" if _CONFIG in found else f"other files ({', '.join(found[:3])})"
            resume = "add --resume to continue it, or " if kind == "a run" else ""
            raise InputError(f"{self.path} holds {kind} already: {resume}choose another --out")
        self.write_json(_ENVIRONMENT, environment())
        self.write_json(_CONFIG, config)

    def note_environment(self) -> None:
        """Compare the environment of a training that is resumed with that of its start, and record where they differ.

        The list `resumed` in `environment.json` gets an entry, and a warning is logged: results may differ in bits.

        Raises:
            InputError: `environment.json` is damaged.
        """
        now = environment()
        try:
            first = self.read_json(_ENVIRONMENT)
        except MissingFile:
            self.write_json(_ENVIRONMENT, now)
            return
        before = first.get("resumed", [])
        if not isinstance(before, list):
            raise InputError(f"{self.path / _ENVIRONMENT} is damaged: resumed must be a list; remove the file")
        if words := different(first, now):
            logger.warning("resumed with %s: the result may differ in bits from that of one go", words)
            entry = {name: now[name] for name in (*DECISIVE, "date")}
            self.write_json(_ENVIRONMENT, {**first, "resumed": [*before, entry]})

    def rows(self) -> list[Row]:
        """Return the rows of `metrics.jsonl`, one for each epoch; an incomplete last line is left out.

        Raises:
            InputError: another line is damaged.
        """
        return read_rows(self.path / _METRICS)

    def restore_rows(self, *, epochs: int, known: Sequence[Row] | None) -> list[Row]:
        """Make `metrics.jsonl` hold the rows of the epochs that are done, and return them; as `rows.restored`."""
        rows = restored(self.path / _METRICS, epochs=epochs, known=known)
        write_text(self.path / _METRICS, as_lines(rows, where=str(self.path / _METRICS)))
        return rows

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Append a row to `metrics.jsonl`.

        Raises:
            InputError: it cannot be written there.
        """
        append_line(self.path / _METRICS, json_text(row, where=str(self.path / _METRICS)))

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file into this folder, atomically."""
        write_json(self.path / name, content)

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of this folder.

        Raises:
            MissingFile: there is none.
            InputError: it is damaged.
        """
        try:
            return read_object(self.path / name)
        except MissingFile as error:
            raise MissingFile(f"{self.path} holds no run: {name} is missing") from error

    def _remove_leftovers(self) -> None:
        """Remove what killed writers left here; earlier versions called it `.NAME.part`."""
        remove_leftovers(self.path)
        for name in (*_FILES, "summary.json"):
            with suppress(OSError):
                (self.path / f".{name}.part").unlink()


def check_links(folder: Path) -> None:
    """Make sure that whatever is written into a folder stays in it: the folder may come from somebody else.

    Args:
        folder: may itself be reached by a link. Folders in it are looked into if it holds a run.

    Raises:
        InputError: a link that leads out of the folder, what is neither file nor folder, or a folder that cannot be
            read.
    """
    try:
        inside, is_run = Path(os.path.realpath(folder)), (folder / _CONFIG).is_file()
        waiting = [folder]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    _check_entry(entry, inside)
                    if is_run and entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror or error}; choose another folder") from error


def _check_entry(entry: os.DirEntry[str], inside: Path) -> None:
    found = entry.stat(follow_symlinks=False)
    if entry.is_symlink():
        target = Path(os.path.realpath(entry.path))
        if entry.name == _LOCK or not target.is_relative_to(inside):
            raise InputError(f"{entry.path} is a link to {target}: remove it, a run writes into its own folder alone")
    elif not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise InputError(f"{entry.path} is neither file nor folder: remove it, or choose another folder")
    elif entry.name == _LOCK and found.st_nlink > 1 and stat.S_ISREG(found.st_mode):
        raise InputError(f"{entry.path} is a second name of another file: remove it")
