"""Files of named tensors: safetensors with a checksum, written atomically."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from .errors import InputError
from .version import __version__

SCHEMA = 1
# A single key, because safetensors writes its metadata in random order: with two, equal contents would differ in bytes.
_KEY = "snnprune"


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file in the same folder, then move it over `path`.

    Readers see the old file or the new one, never a part, even if the process is killed.

    Args:
        path: the file to replace; its folder must exist.
        write: called with the temporary path.

    Raises:
        InputError: the file cannot be written there.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.part")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, safetensors.SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], *, kind: str, metadata: Mapping[str, Any]
) -> None:
    """Write named tensors and JSON metadata as one safetensors file.

    Equal contents give equal bytes. Any safetensors reader opens the file; `read_tensors` also checks it for damage.

    Args:
        path: the file to replace.
        tensors: name -> tensor of any shape, dtype and device.
        kind: of the contents ("checkpoint", "connectivity"); `read_tensors` refuses files of another kind.
        metadata: anything that JSON can hold.
    """
    prepared = _plain_tensors(tensors)
    header = {"kind": kind, "schema": SCHEMA, "version": __version__, "metadata": dict(metadata)}
    header["digest"] = _digest(prepared, header)
    content = {_KEY: json.dumps(header, sort_keys=True)}
    write_atomically(path, lambda temporary: safetensors.torch.save_file(prepared, temporary, content))


def read_tensors(path: str | os.PathLike[str], *, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of `write_tensors`: the tensors (on the CPU) and the metadata.

    Raises:
        InputError: no such file, or one that is cut short, altered, of another kind or of another schema.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no {kind} file at {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        found, schema, digest = header["kind"], header["schema"], header.pop("digest")
        metadata = header["metadata"]
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise InputError(
            f"{path} is not a {kind} file of snnprune, or it is damaged ({error}): use another copy"
        ) from error
    if found != kind:
        raise InputError(f"{path} holds a {found}, expected a {kind}: give the path of a {kind} file")
    if schema != SCHEMA:
        raise InputError(
            f"{path} has schema {schema}, snnprune {__version__} reads schema {SCHEMA}: "
            "install the version that wrote the file"
        )
    if _digest(tensors, header) != digest:
        raise InputError(f"{path} is damaged: its checksum does not match its content; use another copy")
    return tensors, metadata


def _plain_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous CPU tensors, sorted by name, no two of which share memory (safetensors refuses that)."""
    seen: set[int] = set()
    plain = {}
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        if tensor.untyped_storage().data_ptr() in seen or tensor.untyped_storage().nbytes() != tensor.nbytes:
            tensor = tensor.clone()
        seen.add(tensor.untyped_storage().data_ptr())
        plain[name] = tensor
    return plain


def _digest(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
