"""Named arrays in a `.npz` file: written atomically, and checked before anything is unpacked."""

import math
import os
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..errors import InputError
from .atomic import write_atomically
from .opening import PathLike, open_file

# Compressed arrays may claim this many bytes, and as many times the size of the file: others are not unpacked. A file
# of zeros is a thousand times larger when it is unpacked.
_FREE, _RATIO = 64_000_000, 16
_DIRECTORY_LIMIT = 8_000_000  # bytes of the list of members; one of 4,000 arrays has 400,000
_END_OF_ZIP, _END_SIZE, _LONGEST_COMMENT = b"PK\5\6", 22, 2**16
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class Header(NamedTuple):
    """Type and shape of an array, before it is read."""

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


def write_arrays(
    path: PathLike,
    arrays: Mapping[str, Any],
    *,
    compress: bool = False,
    check: Callable[[PathLike], object] = lambda path: None,
) -> None:
    """Write arrays as a plain `.npz`; what is compressed is stored as it is where `read_arrays` would not unpack it.

    Args:
        path: the file to replace.
        arrays: name -> array.
        compress: whether to try compression.
        check: called with the path of the new file before it replaces the old one.

    Raises:
        InputError: the file cannot be written there.
    """

    def write(temporary: Any) -> None:
        claimed = sum(array.nbytes for array in map(np.asarray, arrays.values()))
        for save in (np.savez_compressed, np.savez) if compress else (np.savez,):
            with temporary.open("wb") as file:  # numpy appends a suffix to a name, not to an open file
                save(file, **arrays)
            if claimed <= _most(temporary.stat().st_size):
                break
        check(temporary)

    write_atomically(path, write)


def read_arrays(path: PathLike, check: Callable[[Mapping[str, Header]], object], *, what: str) -> dict[str, np.ndarray]:
    """Read a file of `write_arrays`, without pickle.

    Args:
        path: of the file.
        check: gets the headers of all arrays before any is read, and raises an error where one is not as it should be.
        what: the kind of file, for messages ("CSR file").

    Raises:
        MissingFile: no such file.
        InputError: one that is damaged, claims more than it can hold, or does not pass `check`.
    """
    with open_file(path, what=what) as file:
        try:
            _check_directory(file)
            with zipfile.ZipFile(file) as archive:
                members = _members(archive, os.fstat(file.fileno()).st_size)
                headers = {name: _header(archive, member) for name, member in members.items()}
                check(headers)
                return {name: _read(archive, members[name], header) for name, header in headers.items()}
        except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds on damaged bytes
            raise damaged(path, what, error) from error


def damaged(path: PathLike, what: str, error: Exception) -> InputError:
    """Return the error for a file that is damaged, or no such file."""
    return InputError(f"{path} is not a {what} of snnprune, or it is damaged ({error}): use another copy")


def _most(size: int) -> int:
    """Return the bytes that the compressed arrays of a file of this size may have."""
    return _FREE + _RATIO * size


def _check_directory(file: BinaryIO) -> None:
    """Make sure that the list of members is of a size that can be read."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - _END_SIZE - _LONGEST_COMMENT))
    tail = file.read(_END_SIZE + _LONGEST_COMMENT)
    at = tail.rfind(_END_OF_ZIP)
    length = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if min(length, size) > _DIRECTORY_LIMIT and not (length == 2**32 - 1 and size >= 2**32):
        raise ValueError(f"a list of members of {length:,} bytes")
    file.seek(0)


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return name -> member; all claimed sizes are possible in a file of this size."""
    members, stored, packed = {}, 0, 0
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name == member.filename or name in members:
            raise ValueError(f"the member {member.filename!r}, which is no array or there twice")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
            raise ValueError(f"{name} is packed in an unknown way")
        if member.compress_type == zipfile.ZIP_STORED and member.compress_size != member.file_size:
            raise ValueError(f"the size of {name}")
        stored += member.compress_size
        packed += member.file_size if member.compress_type == zipfile.ZIP_DEFLATED else 0
        members[name] = member
    if stored > size or packed > _most(size):
        raise ValueError(f"{stored + packed:,} bytes are claimed in a file of {size:,}")
    return members


def _header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Header:
    with archive.open(member) as content:
        header, start, _ = _open_array(content)
    if start + header.nbytes != member.file_size:
        raise ValueError(f"{member.filename} has {member.file_size:,} bytes, expected {start + header.nbytes:,}")
    return header


def _open_array(content: Any) -> tuple[Header, int, bool]:
    """Read the header of an array: type and shape, where the data begin, and whether columns come first."""
    version = np.lib.format.read_magic(content)
    if version not in _HEADERS:
        raise ValueError(f"an array of version {version}")
    shape, columns_first, dtype = _HEADERS[version](content)
    if dtype.hasobject or any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f"an array of {dtype} and shape {shape}")
    return Header(dtype, shape), content.tell(), columns_first


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, header: Header) -> np.ndarray:
    with archive.open(member) as content:
        _, _, columns_first = _open_array(content)
        array = np.empty(math.prod(header.shape), header.dtype)
        if header.nbytes:
            _fill(array.view(np.uint8).data, content)
        elif content.read(1):
            raise ValueError(f"{member.filename} has more bytes than it claims")
    return array.reshape(header.shape[::-1]).transpose() if columns_first else array.reshape(header.shape)


def _fill(memory: memoryview, content: Any) -> None:
    """Read to the end of a member, where its checksum is compared."""
    at = 0
    while at < len(memory):
        count = content.readinto(memory[at : at + 2**20])
        if not count:
            raise ValueError("an array that ends too early")
        at += count
    if content.read(1):
        raise ValueError("an array with more bytes than it claims")
