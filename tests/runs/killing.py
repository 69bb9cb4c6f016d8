"""Kill a training or a comparison at its n-th operation on a file below a folder; the tests run this in processes.

    python -m tests.runs.killing FOLDER FIRST STEP -- OPTIONS of experiments.train

kills a training at its operations FIRST, FIRST + STEP, ..., resumes each, compares the end with an uninterrupted
training, and prints what it found as JSON.

Operations are those that Python reports to audit hooks: opening, renaming, removing, making and removing folders. A
process that is killed when it opens a file has written nothing of it; what was written before is on the disk.
"""

import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path
from typing import Any

EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "shutil.rmtree")


class Operations:
    """Counts the operations below a folder, and kills this process at one of them.

    Args:
        folder: whose operations count.
        deadly: number of the deadly one, from 1 on; 0: none.
        once: file that is made before the kill; if it is there already, nobody is killed.
        workers: whether only processes that `multiprocessing` started count, or only others; None: both.
    """

    def __init__(self, folder: str, deadly: int, *, once: str | None = None, workers: bool | None = None) -> None:
        self.folder, self.deadly = os.path.realpath(folder), deadly
        self.once, self.workers = once, workers
        self.count = 0
        self._busy = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if (
            event not in EVENTS
            or self._busy
            or not arguments
            or not isinstance(arguments[0], str | bytes | os.PathLike)
        ):
            return
        self._busy = True
        try:
            if os.path.realpath(os.fsdecode(arguments[0])).startswith(self.folder):
                self._note()
        finally:
            self._busy = False

    def _note(self) -> None:
        if self.workers is not None and self.workers != (multiprocessing.parent_process() is not None):
            return
        self.count += 1
        if self.count != self.deadly:
            return
        if self.once is not None:
            try:
                os.close(os.open(self.once, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
        os.kill(os.getpid(), signal.SIGKILL)


def hook_from_environment() -> None:
    """Install a hook with the arguments in SNNPRUNE_TEST_KILL; for comparisons, whose workers are new processes."""
    if given := os.environ.get("SNNPRUNE_TEST_KILL"):
        sys.addaudithook(Operations(**json.loads(given)))


def every_kill(folder: Path, options: list[str], first: int, step: int) -> dict[str, Any]:
    """Kill a training at each of its operations, resume it, and compare the end with that of an uninterrupted one.

    Each training is a fork of this process, which must not have used more threads than one.

    Args:
        folder: for the run folders.
        options: of experiments.train.
        first: number of the first operation.
        step: between two operations.

    Returns:
        "operations": their number; "kills": number of processes that were killed; "different": numbers whose end
        differs, with the file.
    """
    from experiments.train import main as train

    def run(out: Path, deadly: int, *, resume: bool) -> int:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 1)
                os.dup2(null, 2)
                operations = Operations(str(out), deadly)
                sys.addaudithook(operations)
                begun = resume and (out / "config.json").is_file()
                given = ["--resume"] if begun else options
                status = train([*given, "--out", str(out), "--compile", "off", "--device", "cpu"])
                if deadly == 0 and not resume:
                    (folder / "count").write_text(str(operations.count))
            finally:
                os._exit(status)
        return os.waitpid(child, 0)[1]

    # One training here first, so that every fork finds its modules imported and its data loaded.
    assert train([*options, "--out", str(folder / "first"), "--compile", "off", "--device", "cpu"]) == 0
    assert run(folder / "whole", 0, resume=False) == 0
    count = int((folder / "count").read_text())
    kills, different = 0, []
    for number in range(first, count + 1, step):
        out = folder / f"killed-{number}"
        kills += os.WIFSIGNALED(run(out, number, resume=False))
        status = run(out, 0, resume=True)
        if status != 0:
            different.append((number, f"status {os.waitstatus_to_exitcode(status)}"))
        else:
            different += [(number, name) for name in differing(folder / "whole", out)]
    return {"operations": count, "kills": kills, "different": different}


def differing(one: Path, other: Path) -> list[str]:
    """Return the files of two finished runs that differ, but for times; and files that only one of them has."""
    names = {str(path.relative_to(folder)) for folder in (one, other) for path in folder.rglob("*") if path.is_file()}
    return [name for name in sorted(names - {".lock"}) if content(one / name) != content(other / name)]


def content(path: Path) -> Any:
    """Return what must be equal in a file; environment.json alone may say other things."""
    if not path.is_file():
        return None
    if path.name == "environment.json":
        return sorted(key for key in json.loads(path.read_text()) if key != "resumed")
    if path.suffix in (".json", ".jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.suffix == ".jsonl" else None
        values = rows or [json.loads(path.read_text())]
        return [{key: value for key, value in entry.items() if key != "seconds"} for entry in values]
    return path.read_bytes() if path.suffix != ".png" else path.stat().st_size > 0


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    target, begin, every, _, *given = sys.argv[1:]
    print(json.dumps(every_kill(Path(target), given, int(begin), int(every))))
