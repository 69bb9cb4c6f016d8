"""Named arrays in a `.npz` file, written atomically and read without pickle."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...storage import write_atomically


def write_arrays(path: str | os.PathLike[str], values: Mapping[str, Any]) -> None:
    """Write arrays, numbers, texts and tuples of them, compressed.

    Raises:
        InputError: the file cannot be written there.
    """
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in values.items()}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # numpy appends a suffix to a name, not to an open file
            np.savez_compressed(file, **arrays)

    write_atomically(path, write)


def read_arrays(path: str | os.PathLike[str], types: Mapping[str, Any]) -> dict[str, Any]:
    """Read a file of `write_arrays`.

    Args:
        path: of the file.
        types: name -> `np.ndarray`, a type of number or text, or a tuple; other entries of the file are ignored.

    Raises:
        Exception: of zipfile or numpy, of a dozen kinds, where the file is damaged or lacks a name.
    """
    with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: _as_type(arrays[name], kind) for name, kind in types.items()}


def _as_type(array: np.ndarray, kind: Any) -> Any:
    if kind is np.ndarray:
        return array
    return tuple(array.tolist()) if array.ndim else kind(array)
