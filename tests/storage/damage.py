"""Damage of files, drawn by hypothesis: of their bytes, of the values in them, and of their place."""

import io
import json
import os
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from snnprune.storage import write_tensors

Draw = Callable[[st.SearchStrategy[Any]], Any]

_FOREIGN = (b"\xff\xfe", b"\xef\xbb\xbf", b"\0", b"\x1b[")
_DIGITS = (b"9" * 25, b"1" + b"0" * 5_000, b"1e999", b"-1", b"NaN")
_FILLERS = (b"[", b"{", b"a.", b'"', b"\n", b"'", b"0", b" ", b"#", b'{"a":', b"[],", b"\\")
WRONG: list[Any] = [
    None, True, False, 0, 1, -1, 3, 2**31, 2**63, 10**30, 0.5, 1.5, -0.5, 1e300, 1e-300, float("inf"), float("nan"),
    "", " ", "x", "snn", "test", "gmp", "../x", "a/b", "\x1b[31m", "a\nb", "\0", "y" * 100_000, "é", "1" * 5_000,
    [], [1], [[1]], ["a", "a"], [None] * 10, {}, {"": 1}, {"value": []}, {"a": {"b": [1]}}, list(range(1000)),
]  # fmt: skip


def damaged_bytes(content: bytes, draw: Draw) -> bytes:
    """Return a file's bytes cut, with flipped bits, or with other bytes put in or taken out."""
    at = draw(st.integers(0, len(content)))
    kind = draw(st.sampled_from(("cut", "flip", "flips", "insert", "leave out", "repeat", "digits", "replace", "long")))
    if kind == "cut":
        return content[:at]
    if kind in ("flip", "flips"):
        changed = bytearray(content)
        for _ in range(1 if kind == "flip" else draw(st.integers(2, 40))):
            changed[draw(st.integers(0, len(content) - 1))] ^= 1 << draw(st.integers(0, 7))
        return bytes(changed)
    if kind == "insert":
        foreign = draw(st.one_of(st.binary(max_size=40), st.sampled_from(_FOREIGN)))
        return content[:at] + foreign + content[at:]
    if kind == "leave out":
        return content[:at] + content[at + draw(st.integers(1, 60)) :]
    if kind == "repeat":
        return content[:at] + content[max(0, at - draw(st.integers(1, 400))) :]
    if kind == "digits":
        return content[:at] + draw(st.sampled_from(_DIGITS)) + content[at:]
    if kind == "long":
        filler = draw(st.sampled_from(_FILLERS))
        return content[:at] + filler * (draw(st.sampled_from((100, 10_000, 2_000_000))) // len(filler)) + content[at:]
    return draw(st.binary(max_size=200))


def damaged_value(content: Any, draw: Draw) -> Any:
    """Return nested content with one value exchanged, left out, or put in."""
    places = list(_places(content, ()))
    place = draw(st.sampled_from(places))
    content = json.loads(json.dumps(content))
    *above, last = place
    holder = content
    for key in above:
        holder = holder[key]
    action = draw(st.sampled_from(("exchange", "exchange", "exchange", "leave out", "put in")))
    if action == "exchange":
        holder[last] = draw(st.sampled_from(WRONG))
    elif action == "leave out":
        del holder[last]
    elif isinstance(holder, dict):
        holder[draw(st.sampled_from(("unknown", "", "../x", "\x1b", "a.b")))] = draw(st.sampled_from(WRONG))
    else:
        holder.append(draw(st.sampled_from(WRONG)))
    return content


def as_json(content: Any, draw: Draw) -> bytes:
    """Return content as JSON, now and then with a key twice."""
    text = json.dumps(content)
    if isinstance(content, dict) and content and draw(st.integers(0, 9)) == 0:
        key = draw(st.sampled_from(sorted(content)))
        text = f"{text[:-1]}, {json.dumps(key)}: {json.dumps(content[key])}}}"
    return text.encode()


def as_toml(content: Mapping[str, Any], _draw: Draw) -> bytes:
    """Return content as TOML; None, which it has not, as an empty table."""
    return "".join(f"{json.dumps(key)} = {_inline(value)}\n" for key, value in content.items()).encode()


def damaged_archive(arrays: Mapping[str, np.ndarray], draw: Draw) -> bytes:
    """Return a .npz with one array exchanged for another of a wrong type, shape or claim, left out, or there twice."""
    name, changed = draw(st.sampled_from(sorted(arrays))), dict(arrays)
    content, action = (
        io.BytesIO(),
        draw(st.sampled_from(("exchange", "change", "leave out", "twice", "unknown", "claim"))),
    )
    if action == "exchange":
        changed[name] = draw(st.sampled_from(_ARRAYS))
    elif action == "change":
        changed[name] = _other(arrays[name], draw)
    elif action == "leave out":
        del changed[name]
    elif action == "unknown":
        changed[draw(st.sampled_from(("unknown", "../x", "weight/data/data")))] = arrays[name]
    packing = draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    with zipfile.ZipFile(content, "w", packing) as archive:
        for key, array in changed.items():
            archive.writestr(f"{key}.npy", _npy(array, claim=action == "claim" and key == name, draw=draw))
        if action == "twice":
            with warnings.catch_warnings(action="ignore"):
                archive.writestr(f"{name}.npy", _npy(arrays[name], claim=False, draw=draw))
    return content.getvalue()


def damaged_tensors(tensors: Mapping[str, torch.Tensor], metadata: Any, *, kind: str, path: Path, draw: Draw) -> bytes:
    """Return a file of tensors with a valid checksum, and one tensor or one entry of the metadata that is wrong."""
    changed, name = dict(tensors), draw(st.sampled_from(sorted(tensors)))
    action = draw(st.sampled_from(("exchange", "values", "leave out", "unknown", "metadata", "metadata")))
    if action == "exchange":
        changed[name] = draw(st.sampled_from(_TENSORS))
    elif action == "values":
        changed[name] = _other_values(tensors[name], draw)
    elif action == "leave out":
        del changed[name]
    elif action == "unknown":
        changed[
            draw(st.sampled_from(("x", "optimizer/9/step", "optimizer/0/x", "random/tpu", "progress/x", "../x")))
        ] = tensors[name]
    else:
        metadata = damaged_value(metadata, draw)
    try:
        write_tensors(path, changed, kind=kind, metadata=metadata)
    except ValueError:  # metadata that JSON cannot hold
        write_tensors(path, changed, kind=kind, metadata={})
    return path.read_bytes()


def put_no_file(path: Path, draw: Draw) -> Path:
    """Put something that is no file at a path, and return the path to read."""
    kind = draw(st.sampled_from(("directory", "loop", "pipe", "nothing", "dangling", "long", "deep", "NUL", "device")))
    if kind == "directory":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "long":
        return path.with_name("x" * 300 + path.suffix)
    elif kind == "deep":
        return path.parent.joinpath(*["x" * 100] * 50, path.name)
    elif kind == "NUL":
        return Path(f"{path.parent}/a\0{path.name}")
    elif kind == "device":
        path.symlink_to("/dev/zero")
    return path


def _places(content: Any, above: tuple[Any, ...]) -> Any:
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in entries:
        yield (*above, key)
        yield from _places(value, (*above, key))


def _inline(value: Any) -> str:
    if value is None:
        return "{}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_inline(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


_ARRAYS = [
    np.array(1.0), np.array([]), np.zeros((0, 3)), np.zeros(3, bool), np.zeros(3, complex), np.array(["a", "b"]),
    np.array([b"a"]), np.zeros(2, "M8[s]"), np.zeros(2, "m8[s]"), np.arange(4), np.arange(4.0), np.full(3, -1),
    np.full(3, 2**62), np.full(3, np.nan), np.zeros(2, [("a", "i4")]), np.zeros(3, ">i8"), np.zeros(3, np.float16),
    np.zeros((2, 2, 2), np.int64), np.zeros(3, np.uint64), np.array(["\0"]), np.zeros(2_000_000), np.array("x" * 5_000),
]  # fmt: skip
_TENSORS = [
    torch.tensor(1.0), torch.zeros(0), torch.zeros(3, dtype=torch.bool), torch.zeros(3, dtype=torch.complex64),
    torch.arange(4), torch.full((16, 6), float("nan")), torch.full((16,), -1.0), torch.tensor(-1), torch.tensor(2**62),
    torch.zeros(2, 2, 2), torch.zeros(5056, dtype=torch.uint8), torch.zeros(3, dtype=torch.float16),
]  # fmt: skip


def _other(array: np.ndarray, draw: Draw) -> np.ndarray:
    """Return an array of another type or shape, or with other values."""
    ways: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda a: a[..., None], lambda a: a.reshape(-1)[:-1], lambda a: np.concatenate([a.reshape(-1)] * 2),
        lambda a: a.astype(str), lambda a: a.astype("U1"),
        lambda a: a.astype(bool), lambda a: a.astype(complex), lambda a: a.astype(np.float16), lambda a: a[::-1],
        lambda a: -a, lambda a: a + 1, lambda a: a * 2**40, lambda a: a * 0, lambda a: a * np.nan,
        lambda a: a.astype(a.dtype.newbyteorder()), lambda a: a.astype(object).astype("M8[s]"),
    ]  # fmt: skip
    try:
        with np.errstate(all="ignore"):
            return np.asarray(draw(st.sampled_from(ways))(array))
    except (TypeError, ValueError, IndexError, OverflowError, np.exceptions.ComplexWarning):
        return np.zeros(1)


def _other_values(tensor: torch.Tensor, draw: Draw) -> torch.Tensor:
    ways: list[Callable[[torch.Tensor], torch.Tensor]] = [
        lambda t: t * float("nan"), lambda t: t * float("inf"), lambda t: -t, lambda t: t + 1, lambda t: t.double(),
        lambda t: t.half(), lambda t: t.long(), lambda t: t.bool(), lambda t: t[None], lambda t: t.reshape(-1)[:-1],
        lambda t: t.reshape(-1), lambda t: t * 0, lambda t: t.flip(0), lambda t: t.to(torch.complex64),
    ]  # fmt: skip
    try:
        return draw(st.sampled_from(ways))(tensor)
    except (RuntimeError, IndexError):
        return torch.zeros(1)


def _npy(array: np.ndarray, *, claim: bool, draw: Draw) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, array, allow_pickle=False)
    if not claim:
        return content.getvalue()
    header = {
        "descr": "<f8",
        "fortran_order": False,
        "shape": draw(st.sampled_from(((10**12,), (2**62, 2**62), (-1,)))),
    }
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue() + bytes(draw(st.sampled_from((0, 8, 50_000_000))))
