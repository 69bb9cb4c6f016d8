"""Opening of files that others may have made: regular files alone, of limited size, opened once."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError

PathLike = str | os.PathLike[str]
# Bytes of a text file; the summary of a network with a thousand layers takes a fiftieth of it.
TEXT_LIMIT = 8_000_000

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class MissingFile(InputError):
    """There is no file at that path."""


def as_path(path: PathLike) -> Path:
    """Return a path that the system can be asked for.

    Raises:
        InputError: not a path, or one with characters that no path can have.
    """
    try:
        found = Path(path)
        valid = b"\0" not in os.fsencode(found)
    except (TypeError, ValueError) as error:
        raise InputError(f"a path must be text, found {path!r} ({error}): give the path of a file") from error
    if not valid:
        raise InputError(f"a path cannot hold a NUL character, found {str(path)!r}: give the path of a file")
    return found


def exists(path: PathLike) -> bool:
    """Whether something is at that path; a link counts if what it points at is there.

    Raises:
        InputError: the path cannot be asked for: too long, a loop of links, no permission.
    """
    found = as_path(path)
    try:
        os.stat(found)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise InputError(f"cannot read {found}: {error.strerror or error}; give another path") from error
    return True


def make_folder(path: PathLike) -> Path:
    """Make a folder, and those above it, where there is none yet.

    Raises:
        InputError: it cannot be made.
    """
    folder = as_path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror or error}; choose another") from error
    return folder


def kind_of(mode: int) -> str:
    """Return what an entry of the file system is, by its `st_mode`: "a directory", "a pipe", ..."""
    return _KINDS.get(stat.S_IFMT(mode), "something else")


def open_file(path: PathLike, *, what: str = "file") -> BinaryIO:
    """Open a regular file for reading.

    Args:
        path: of the file; links are followed.
        what: the kind of file, for the message where there is none.

    Raises:
        MissingFile: nothing is there.
        InputError: a directory, a pipe, a device, or something that cannot be opened.
    """
    found = as_path(path)
    try:
        _check_regular(found, os.stat(found).st_mode)  # before it is opened: a pipe would wait, a device may act
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(found, flags)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFile(f"no {what} at {found}: give the path of one") from error
    except OSError as error:
        raise InputError(f"cannot read {found}: {error.strerror or error}; give the path of a file") from error
    try:
        _check_regular(found, os.fstat(descriptor).st_mode)  # it may have been exchanged since
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_bytes(path: PathLike, *, limit: int, what: str = "file") -> bytes:
    """Read a regular file.

    Raises:
        MissingFile: nothing is there.
        InputError: as `open_file`, or more than `limit` bytes.
    """
    with open_file(path, what=what) as file:
        try:
            content = file.read(limit + 1)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > limit:
        raise InputError(f"{path} has more than {limit:,} bytes, too many for a {what}: give another file")
    return content


def read_text(path: PathLike, *, limit: int = TEXT_LIMIT, what: str = "file") -> str:
    """Read a UTF-8 text file; a byte order mark is left out.

    Raises:
        MissingFile: nothing is there.
        InputError: as `read_bytes`, or other bytes than UTF-8.
    """
    content = read_bytes(path, limit=limit, what=what)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text: byte {error.start:,} is {content[error.start]:#04x}; save it as UTF-8"
        ) from error


def _check_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is {kind_of(mode)}, not a file: give the path of a file")
