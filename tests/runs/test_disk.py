"""Full disks and folders that are moved: one line, exit status 2, and the rest of the run equals one in one go."""

import errno
import json
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments import train
from snnprune.runs import summary as end
from snnprune.storage import atomic
from snnprune.training import RunFolder, Trainer

OPTIONS = ["--model", "64-12-10", "--data", "digits", "--images", "256", "--epochs", "2", "--batch-size", "64"]
OPTIONS += ["--timesteps", "2", "--density", "0.2", "--device", "cpu", "--quiet"]
SAME = ("checkpoint.safetensors", "connectivity.safetensors", "connectivity.npz", "config.json")
CALLS = ("mkdtemp", "open", "write", "fsync", "replace", "chmod")


class Disk:
    """Stands in for a module in the writers; the call with the number `full`, and all later ones, find no space."""

    def __init__(self, module: Any, counter: "Counter") -> None:
        self._module, self._counter = module, counter

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._module, name)
        if name not in CALLS:
            return real

        def call(*arguments: Any, **options: Any) -> Any:
            self._counter.done += 1
            if self._counter.full is not None and self._counter.done >= self._counter.full:
                if name == "write":
                    real(arguments[0], arguments[1][:7])  # a part of the line is there
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments, **options)

        return call


class Counter:
    """Counts calls; from the call `full` on there is no space."""

    def __init__(self) -> None:
        self.done, self.full = 0, None


@pytest.fixture
def disk(monkeypatch) -> Counter:
    """A disk that is full from a chosen call on; pictures are left out, which take most of the time of a run."""
    counter = Counter()
    monkeypatch.setattr(atomic, "os", Disk(os, counter))
    monkeypatch.setattr(atomic, "tempfile", Disk(atomic.tempfile, counter))
    monkeypatch.setattr(end, "plot_run", lambda folder, **_: atomic.write_text(folder.parent / "figures.txt", "drawn"))
    return counter


def call(*arguments: str | Path) -> int:
    return train.main([str(argument) for argument in arguments])


def go_on(folder: Path) -> int:
    begun = (folder / "config.json").is_file()
    return call("--resume", "--out", folder, "--device", "cpu", "--quiet") if begun else call(*OPTIONS, "--out", folder)


def check_same(folder: Path, whole: Path) -> None:
    for name in SAME:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    mine, theirs = (json.loads((path / "summary.json").read_text()) for path in (folder, whole))
    assert {**mine, "seconds": 0} == {**theirs, "seconds": 0}
    rows = [[{**row, "seconds": 0} for row in RunFolder(path).rows()] for path in (folder, whole)]
    assert rows[0] == rows[1]


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: cannot ")
    return line


def fill_at(places: Iterator[int] | range, whole: Path, disk: Counter, folder: Path, capsys: Any) -> int:
    """Fill the disk at each of these writes, and go on once there is space again; returns how often."""
    done = 0
    for full in places:
        disk.done, disk.full = 0, full
        assert go_on(folder) == 2
        assert "No space left on device" in one_line(capsys)
        disk.full = None
        assert not list(folder.rglob("*.part"))
        assert go_on(folder) == 0
        check_same(folder, whole)
        capsys.readouterr()
        shutil.rmtree(folder)
        done += 1
    return done


def writes_of_a_run(disk: Counter, whole: Path, capsys: Any) -> int:
    assert call(*OPTIONS, "--out", whole) == 0
    capsys.readouterr()
    return disk.done


def test_a_disk_that_fills_at_some_writes(disk, tmp_path, capsys):
    total = writes_of_a_run(disk, tmp_path / "whole", capsys)
    assert total > 40
    assert fill_at(range(1, total + 1, 7), tmp_path / "whole", disk, tmp_path / "run", capsys) > 5


@pytest.mark.slow
def test_a_disk_that_fills_at_any_write(disk, tmp_path, capsys):
    total = writes_of_a_run(disk, tmp_path / "whole", capsys)
    assert fill_at(range(1, total + 1), tmp_path / "whole", disk, tmp_path / "run", capsys) == total


def test_a_disk_that_fills_again_and_again(disk, tmp_path, capsys):
    writes_of_a_run(disk, tmp_path / "whole", capsys)
    failed = 0
    for full in range(5, 200, 2):
        disk.done, disk.full = 0, full
        if go_on(tmp_path / "run") == 0:
            break
        one_line(capsys)
        failed += 1
    assert failed > 4
    disk.full = None
    assert go_on(tmp_path / "run") == 0
    check_same(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("limit", [600, 2_000, 9_000])
def test_files_that_may_not_grow(limit, tmp_path, capsys):
    """The system itself refuses: environment, config, rows and checkpoints meet the limit at different times."""
    assert call(*OPTIONS, "--out", tmp_path / "whole") == 0
    capsys.readouterr()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        status = go_on(tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 2
    one_line(capsys)
    assert go_on(tmp_path / "run") == 0
    check_same(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize("moment", ["finish_epoch", "evaluate"])
def test_a_folder_that_is_moved_or_removed_while_it_is_trained(moved, moment, tmp_path, monkeypatch, capsys):
    assert call(*OPTIONS, "--out", tmp_path / "whole") == 0
    capsys.readouterr()
    run, elsewhere, method = tmp_path / "run", tmp_path / "elsewhere", getattr(Trainer, moment)

    def leave(trainer: Trainer) -> Any:
        if run.exists() and trainer.steps_done > 4:
            run.rename(elsewhere) if moved else shutil.rmtree(run)
        return method(trainer)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, moment, leave)
        assert go_on(run) == 2
    assert "No such file or directory" in one_line(capsys)
    assert not run.exists()
    again = elsewhere if moved else run
    assert go_on(again) == 0
    check_same(again, tmp_path / "whole")


def test_tensorboard_files_on_a_full_disk_are_one_line(tmp_path, monkeypatch, capsys):
    from torch.utils import tensorboard

    class Full:
        def __init__(self, _path: Path) -> None:
            pass

        def add_scalar(self, *_values: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None:
            pass

    monkeypatch.setattr(tensorboard, "SummaryWriter", Full)
    assert call(*OPTIONS, "--tensorboard", "--out", tmp_path / "run") == 2
    assert "tensorboard: No space left on device" in one_line(capsys)


def test_tensorboard_files_where_a_file_is_in_the_way_are_one_line(tmp_path, capsys):
    assert call(*OPTIONS, "--stop-after", "0", "--out", tmp_path / "run") == 130
    (tmp_path / "run" / "tensorboard").write_text("")
    capsys.readouterr()
    assert call("--resume", "--tensorboard", "--out", tmp_path / "run", "--quiet") == 2
    assert "tensorboard" in one_line(capsys)
