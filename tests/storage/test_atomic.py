"""Atomic writing: whole files for every reader, no foreign link followed, nothing left behind."""

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import safetensors.torch
import torch

from snnprune import InputError
from snnprune.storage import append_line, atomic, read_tensors, write_atomically, write_tensors, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "a").write_text("old")

    def fail(path):
        path.write_text("half")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_atomically(tmp_path / "a", fail)
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("path", ["missing/a", "file/a", "x" * 300, "a\0b", "/".join(["y" * 200] * 30)])
def test_a_place_that_cannot_be_written_is_an_input_error(path, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write|NUL"):
        write_text(f"{tmp_path}/{path}", "text")
    with pytest.raises(InputError, match=r"cannot write|NUL"):
        append_line(f"{tmp_path}/{path}", "text")
    assert names(tmp_path) == ["file"]


def test_no_path_is_an_input_error():
    with pytest.raises(InputError, match="a path must be text, found None"):
        write_text(None, "text")  # type: ignore[arg-type]


def test_a_name_of_255_bytes_is_written(tmp_path):
    write_text(tmp_path / ("x" * 255), "text")
    assert (tmp_path / ("x" * 255)).read_text() == "text"


# --- What is at the destination


def test_a_link_is_kept_and_what_it_points_at_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("old")
    for name, target in (("there", "real/a"), ("dangling", "real/new"), ("chain", "there")):
        (tmp_path / name).symlink_to(target)
        write_text(tmp_path / name, name)
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / target).read_text() == name
    assert names(tmp_path / "real") == ["a", "new"]
    assert names(tmp_path) == ["chain", "dangling", "real", "there"]


def test_what_is_no_file_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "device").symlink_to("/dev/null")
    for name, kind in (("folder", "a directory"), ("pipe", "a pipe"), ("device", "a device"), ("loop", "links")):
        with pytest.raises(InputError, match=kind):
            write_text(tmp_path / name, "text")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(InputError, match=r"cannot write .*pipe"):
        append_line(tmp_path / "pipe", "text")


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_new_files_have_the_mode_of_the_umask_and_old_ones_keep_theirs(mask, tmp_path):
    before = os.umask(mask)
    try:
        write_tensors(tmp_path / "tensors", {"x": torch.ones(1)}, kind="checkpoint", metadata={})
        write_text(tmp_path / "text", "new")
        (tmp_path / "old").write_text("old")
        (tmp_path / "old").chmod(0o640)
        write_tensors(tmp_path / "old", {"x": torch.ones(1)}, kind="checkpoint", metadata={})
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"tensors": 0o666 & ~mask, "text": 0o666 & ~mask, "old": 0o640}


# --- Other processes


def test_links_under_the_names_of_temporary_files_are_not_followed(tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / "run").mkdir()
    for name in (".a.part", ".snnprune-abcdefgh.part"):
        (tmp_path / "run" / name).symlink_to(mine)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "content").write_text("mine")
    (tmp_path / "run" / ".snnprune-bcdefghi.part").symlink_to(tmp_path / "folder")
    write_text(tmp_path / "run" / "a", "new")
    assert mine.read_text() == (tmp_path / "folder" / "content").read_text() == "mine"


def test_leftovers_of_killed_writers_are_removed_and_those_of_living_ones_are_not(tmp_path):
    code = (
        "import os, signal, sys; from snnprune.storage import write_atomically\n"
        "def write(path):\n"
        "    path.write_text('half'); print('ready', flush=True); sys.stdin.readline()\n"
        "write_atomically(sys.argv[1], write)"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writers = [subprocess.Popen([sys.executable, "-c", code, tmp_path / name], **pipes) for name in ("a", "b")]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    assert len(names(tmp_path)) == 2
    writers[0].send_signal(signal.SIGKILL)
    writers[0].communicate()
    (tmp_path / ".snnprune-not-ours.part").mkdir()
    write_text(tmp_path / "c", "new")
    assert len(names(tmp_path)) == 3  # the folder of the living writer, a foreign one, and the new file
    writers[1].communicate("\n")
    assert names(tmp_path) == [".snnprune-not-ours.part", "b", "c"]
    assert (tmp_path / "b").read_text() == "half"


def test_a_folder_that_is_taken_for_a_leftover_is_made_again(tmp_path, monkeypatch):
    make, made = atomic.tempfile.mkdtemp, []

    def raced(**options):
        made.append(make(**options))
        if len(made) < 4:
            os.rmdir(made[-1])
        return made[-1]

    monkeypatch.setattr(atomic.tempfile, "mkdtemp", raced)
    write_text(tmp_path / "a", "text")
    assert (len(made), names(tmp_path)) == (4, ["a"])
    made.clear()
    monkeypatch.setattr(atomic, "_ATTEMPTS", 2)
    with pytest.raises(InputError, match="2 temporary folders were removed by another process"):
        write_text(tmp_path / "a", "text")


def test_without_locks_files_are_written_and_leftovers_stay(tmp_path, monkeypatch):
    (tmp_path / ".snnprune-abcdefgh.part").mkdir()
    monkeypatch.setattr(atomic, "fcntl", None)
    write_text(tmp_path / "a", "text")
    assert names(tmp_path) == [".snnprune-abcdefgh.part", "a"]


def test_on_a_file_system_without_locks_files_are_written_and_nothing_is_removed(tmp_path, monkeypatch):
    (tmp_path / ".snnprune-abcdefgh.part").mkdir()

    def refuse(*_arguments):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(atomic.fcntl, "flock", refuse)
    write_text(tmp_path / "a", "text")
    assert names(tmp_path) == [".snnprune-abcdefgh.part", "a"]


def test_writers_of_one_path_and_readers_beside_them_see_whole_files(tmp_path):
    path, wrong = tmp_path / "a", []
    contents = [{"x": torch.full((500 + 5000 * number,), float(number))} for number in range(4)]
    write_tensors(path, contents[0], kind="checkpoint", metadata={})

    def write(number: int) -> None:
        for _ in range(60):
            write_tensors(path, contents[number], kind="checkpoint", metadata={})

    def read() -> None:
        while any(thread.is_alive() for thread in writers):
            try:
                found, _ = read_tensors(path, kind="checkpoint")
                value = int(found["x"][0])
                assert torch.equal(found["x"], contents[value]["x"])
            except Exception as error:
                wrong.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    reader = threading.Thread(target=read)
    for thread in (*writers, reader):
        thread.start()
    for thread in (*writers, reader):
        thread.join()
    assert not wrong
    assert names(tmp_path) == ["a"]


def test_what_was_read_does_not_change_with_the_file(tmp_path):
    path = tmp_path / "a"
    write_tensors(path, {"x": torch.arange(5000.0)}, kind="checkpoint", metadata={})
    found, _ = read_tensors(path, kind="checkpoint")
    size = path.stat().st_size
    path.write_bytes(b"\xff" * size)
    os.truncate(path, 0)
    assert torch.equal(found["x"], torch.arange(5000.0))


# --- Appending


def test_a_line_that_does_not_fit_is_taken_back(tmp_path, monkeypatch):
    append_line(tmp_path / "a", "one")

    class Full:
        def __getattr__(self, name):
            return getattr(os, name)

        def write(self, descriptor, content):
            if len(content) > 4:
                return os.write(descriptor, content[:4])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "os", Full())
    with pytest.raises(InputError, match=r"cannot write .*No space left on device"):
        append_line(tmp_path / "a", "another")
    monkeypatch.undo()
    append_line(tmp_path / "a", "two")
    assert (tmp_path / "a").read_text() == "one\ntwo\n"


def test_an_error_of_safetensors_is_one_line(tmp_path, monkeypatch):
    def fail(*_arguments):
        raise safetensors.SafetensorError("I/O error: no space")

    monkeypatch.setattr(safetensors.torch, "save_file", fail)
    with pytest.raises(InputError, match=r"cannot write .*: I/O error: no space"):
        write_tensors(tmp_path / "a", {"x": torch.ones(1)}, kind="checkpoint", metadata={})
    assert not names(tmp_path)
