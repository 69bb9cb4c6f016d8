"""Atomic writing: a file is filled under another name, in a folder that belongs to its writer, and then moved.

The writer's folder has a fresh name, so that two writers of one path do not meet and nobody's link is followed. The
writer holds a lock on it while it lives; a folder whose lock is free was left by a process that was killed.
"""

import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import safetensors

from ..errors import InputError
from .opening import PathLike, as_path, kind_of

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there, and leftovers stay
    fcntl = None

_PREFIX, _SUFFIX = ".snnprune-", ".part"
_LEFTOVER = re.compile(r"\.snnprune-[a-z0-9_]{8}\.part")  # the names that mkdtemp makes
_ATTEMPTS = 100


def write_atomically(path: PathLike, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file in the same folder, then move it over `path`.

    Readers and other writers of the path see whole files, the old one or a new one, even if the process is killed. A
    file that is replaced keeps its mode; if `path` is a link, the file that it points at is replaced. What killed
    writers left in the folder is removed.

    Args:
        path: the file to replace; its folder must exist.
        write: called with the temporary path.

    Raises:
        InputError: the file cannot be written there, or something is there that is no file.
    """
    path = as_path(path)
    try:
        target = _target(path)
        remove_leftovers(target.parent)
        with _own_folder(target.parent) as folder:
            temporary, mode = folder / "content", _mode(target, folder)
            write(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(mode)
            os.replace(temporary, target)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error


def write_text(path: PathLike, text: str) -> None:
    """Write a UTF-8 text file atomically; arguments and errors as `write_atomically`."""
    content = text.encode("utf-8", errors="backslashreplace")  # a name in the text may come from undecodable bytes
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def append_line(path: PathLike, line: str) -> None:
    """Append a line to a text file, which is made if it is missing; a line that does not fit is taken back.

    Raises:
        InputError: the file cannot be written there.
    """
    path, content = as_path(path), f"{line}\n".encode()
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags, 0o666)
        try:
            _append(descriptor, content)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder, as far as that is permitted."""
    if fcntl is None:
        return
    try:
        with os.scandir(folder) as entries:
            found = [Path(entry.path) for entry in entries if _LEFTOVER.fullmatch(entry.name)]
    except OSError:
        return  # the writer itself says what is wrong with the folder
    for leftover in found:
        with suppress(OSError):  # of a living writer, or of another user
            descriptor = _lock(leftover)
            try:
                _remove(leftover)
            finally:
                os.close(descriptor)


def _append(descriptor: int, content: bytes) -> None:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise OSError(f"it is {kind_of(before.st_mode)}")
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, before.st_size)
        raise


def _target(path: Path) -> Path:
    """Return the file to replace: behind a link, what it points at."""
    target = path
    if path.is_symlink():
        try:
            target = Path(os.path.realpath(path, strict=True))
        except FileNotFoundError:
            target = Path(os.path.realpath(path))  # it is made where the link points
    with suppress(FileNotFoundError):
        mode = os.lstat(target).st_mode
        if not stat.S_ISREG(mode):
            raise InputError(f"cannot write {path}: it is {kind_of(mode)}, not a file; choose another name")
    return target


def _mode(target: Path, folder: Path) -> int:
    """Return the mode of the file that is replaced, or that of a new file under the process's umask."""
    with suppress(FileNotFoundError):
        return stat.S_IMODE(target.stat().st_mode)
    probe = folder / "mode"
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
        probe.unlink()


@contextmanager
def _own_folder(parent: Path) -> Iterator[Path]:
    """Make a folder that no other process writes to, and remove it at the end."""
    folder, descriptor = _make_folder(parent)
    try:
        yield folder
    finally:
        with suppress(OSError):
            _remove(folder)
        if descriptor is not None:
            os.close(descriptor)


def _make_folder(parent: Path) -> tuple[Path, int | None]:
    """Return a fresh folder, and the descriptor that holds its lock; None where there are no such locks."""
    for _ in range(_ATTEMPTS):
        folder = Path(tempfile.mkdtemp(suffix=_SUFFIX, prefix=_PREFIX, dir=parent))
        if fcntl is None:
            return folder, None
        try:
            return folder, _lock(folder)
        except (BlockingIOError, FileNotFoundError):
            continue  # another writer took it for a leftover before it was locked
        except OSError:
            return folder, None  # some network file systems lock no folders: leftovers stay there
    raise OSError(f"{_ATTEMPTS} temporary folders were removed by another process")


def _lock(folder: Path) -> int:
    """Lock a folder, and return the descriptor that holds the lock.

    Raises:
        BlockingIOError: another process holds it.
        FileNotFoundError: it is gone.
        OSError: it is no folder, or cannot be locked.
    """
    assert fcntl is not None
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), os.lstat(folder)):
            raise FileNotFoundError(folder)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _remove(folder: Path) -> None:
    """Remove a writer's folder; there are only files in it, and a link is removed and not followed."""
    for name in os.listdir(folder):
        os.unlink(folder / name)
    os.rmdir(folder)
