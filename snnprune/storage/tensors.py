"""Files of named tensors: safetensors with a checksum, written atomically."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import Tensor

from ..errors import InputError
from ..version import __version__
from .atomic import write_atomically
from .json_files import json_text, parse_json
from .opening import PathLike, open_file

SCHEMA = 1
# A single key, because safetensors writes its metadata in random order: with two, equal contents would differ in bytes.
_KEY = "snnprune"
_HEADER_LIMIT = 16_000_000  # bytes; a network of a thousand tensors with Adam and a method has a megabyte

# Names of dtypes in a safetensors file.
_NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}
DTYPES: dict[str, torch.dtype] = {name: getattr(torch, dtype) for name, dtype in _NAMES.items()}


def write_tensors(path: PathLike, tensors: Mapping[str, Tensor], *, kind: str, metadata: Mapping[str, Any]) -> None:
    """Write named tensors and JSON metadata as one safetensors file.

    Equal contents give equal bytes. Any safetensors reader opens the file; `read_tensors` also checks it for damage.

    Args:
        path: the file to replace.
        tensors: name -> tensor of any shape, dtype and device.
        kind: of the contents ("checkpoint", "connectivity"); `read_tensors` refuses files of another kind.
        metadata: anything that JSON can hold.

    Raises:
        InputError: the file cannot be written there, or the metadata hold NaN or infinity.
    """
    prepared = _plain_tensors(tensors)
    header = {"kind": kind, "schema": SCHEMA, "version": __version__, "metadata": dict(metadata)}
    json_text(header, where=str(path))
    header["digest"] = _digest(prepared, header)
    content = {_KEY: json.dumps(header, sort_keys=True)}
    write_atomically(path, lambda temporary: safetensors.torch.save_file(prepared, temporary, content))


def read_tensors(path: PathLike, *, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of `write_tensors`: the tensors (on the CPU, in memory of their own) and the metadata.

    The file is opened once: one that is replaced meanwhile is read to its end as it was.

    Raises:
        MissingFile: no such file.
        InputError: one that is cut short, altered, of another kind or of another schema, or no file.
    """
    with open_file(path, what=f"{kind} file") as file:
        try:
            header, entries = _read_header(file)
            found, schema, digest = header["kind"], header["schema"], header.pop("digest")
            metadata = header["metadata"]
            if not isinstance(metadata, dict):
                raise ValueError("its metadata are no object")
            tensors = _read_content(file, entries) if (found, schema) == (kind, SCHEMA) else {}
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OSError) as error:
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


def _read_header(file: BinaryIO) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return our own header, and name -> entry of each tensor, of which all bytes are in the file."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, _HEADER_LIMIT):
        raise ValueError(f"it has {size:,} bytes, and a header of {length:,}")
    entries = parse_json(file.read(length).decode(), where="its header")
    header = parse_json(entries.pop("__metadata__")[_KEY], where="its metadata")
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        if set(entry) != {"dtype", "shape", "data_offsets"} or any(type(n) is not int or n < 0 for n in entry["shape"]):
            raise ValueError(f"the entry of {name}")
        bytes_of = math.prod(entry["shape"]) * DTYPES[entry["dtype"]].itemsize
        if entry["data_offsets"] != [end, end + bytes_of]:
            raise ValueError(f"the size of {name}")
        end += bytes_of
    if end != size - 8 - length:
        raise ValueError(f"it has {size:,} bytes, expected {end + 8 + length:,}")
    return header, entries


def _read_content(file: BinaryIO, entries: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors, read in the order of the file."""
    tensors = {}
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        tensor = torch.empty(entry["shape"], dtype=DTYPES[entry["dtype"]], device="cpu")
        content = tensor.reshape(-1).view(torch.uint8)
        if file.readinto(content.numpy()) != len(content):  # type: ignore[attr-defined]
            raise ValueError(f"it ends within {name}")
        if tensor.dtype == torch.bool and bool((content > 1).any()):
            raise ValueError(f"{name} holds other values than true and false")
        tensors[name] = tensor
    return tensors


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
