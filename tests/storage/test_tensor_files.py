import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snnprune import InputError
from snnprune.storage import read_tensors, write_tensors
from snnprune.storage.tensors import DTYPES

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "mask": torch.tensor([True, False]),
    "steps": torch.tensor(7),
}


def test_round_trip_keeps_values_dtypes_and_metadata(tmp_path):
    write_tensors(tmp_path / "a", TENSORS, kind="checkpoint", metadata={"epoch": 3})
    tensors, metadata = read_tensors(tmp_path / "a", kind="checkpoint")
    assert metadata == {"epoch": 3}
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_equal_contents_give_equal_bytes_whatever_their_order(tmp_path):
    write_tensors(tmp_path / "a", TENSORS, kind="checkpoint", metadata={"x": 1, "y": 2})
    write_tensors(tmp_path / "b", dict(reversed(TENSORS.items())), kind="checkpoint", metadata={"y": 2, "x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_tensors_that_share_memory_or_are_views_are_written(tmp_path):
    base = torch.arange(8.0)
    write_tensors(tmp_path / "a", {"x": base, "y": base, "z": base[2:4]}, kind="checkpoint", metadata={})
    tensors, _ = read_tensors(tmp_path / "a", kind="checkpoint")
    assert torch.equal(tensors["y"], base)
    assert torch.equal(tensors["z"], torch.tensor([2.0, 3.0]))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_is_noticed(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("flip")
    write_tensors(folder / "a", TENSORS, kind="checkpoint", metadata={"epoch": 3})
    content = bytearray((folder / "a").read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (folder / "a").write_bytes(content)
    with pytest.raises(InputError):
        read_tensors(folder / "a", kind="checkpoint")


@settings(max_examples=50, deadline=None)
@given(share=st.floats(0, 0.999))
def test_a_file_cut_short_is_refused(tmp_path_factory, share):
    folder = tmp_path_factory.mktemp("cut")
    write_tensors(folder / "a", TENSORS, kind="checkpoint", metadata={})
    content = (folder / "a").read_bytes()
    (folder / "a").write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="damaged"):
        read_tensors(folder / "a", kind="checkpoint")


def test_missing_foreign_and_other_kinds_are_refused(tmp_path):
    with pytest.raises(InputError, match="no checkpoint file at"):
        read_tensors(tmp_path / "none", kind="checkpoint")
    safetensors.torch.save_file({"x": torch.ones(1)}, tmp_path / "foreign")
    with pytest.raises(InputError, match="is not a checkpoint file of snnprune"):
        read_tensors(tmp_path / "foreign", kind="checkpoint")
    write_tensors(tmp_path / "a", TENSORS, kind="connectivity", metadata={})
    with pytest.raises(InputError, match="holds a connectivity, expected a checkpoint"):
        read_tensors(tmp_path / "a", kind="checkpoint")


def test_a_newer_schema_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("snnprune.storage.tensors.SCHEMA", 99)
    write_tensors(tmp_path / "a", TENSORS, kind="checkpoint", metadata={})
    monkeypatch.undo()
    with pytest.raises(InputError, match="has schema 99"):
        read_tensors(tmp_path / "a", kind="checkpoint")


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3)], ids=str)
def test_every_dtype_and_shape_survives(dtype, shape, tmp_path):
    tensor = torch.ones(shape).to(dtype)
    write_tensors(tmp_path / "a", {"x": tensor}, kind="checkpoint", metadata={})
    found = read_tensors(tmp_path / "a", kind="checkpoint")[0]["x"]
    assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
    assert torch.equal(found.reshape(-1).view(torch.uint8), tensor.reshape(-1).view(torch.uint8))


def forged(path: Path, entries: dict, content: bytes = b"", *, length: int | None = None) -> Path:
    """Write a file of safetensors by hand."""
    ours = {"kind": "checkpoint", "schema": 1, "version": "0", "metadata": {}, "digest": ""}
    header = json.dumps({"__metadata__": {"snnprune": json.dumps(ours)}, **entries}).encode()
    path.write_bytes((len(header) if length is None else length).to_bytes(8, "little") + header + content)
    return path


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, "the size of x"),
        ({"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}, "bytes, expected"),
        ({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}, "the entry of x"),
        ({"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}, "the entry of x"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "more": 1}, "the entry of x"),
        ({"dtype": "F31", "shape": [1], "data_offsets": [0, 4]}, "F31"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}, "the size of x"),
        ({"dtype": "F32", "shape": [1]}, "data_offsets"),
        ({"dtype": "BOOL", "shape": [4], "data_offsets": [0, 4]}, "other values than true and false"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "checksum"),
        (3, "damaged"),
    ],
)
def test_entries_that_do_not_fit_their_file_are_refused(entry, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read_tensors(forged(tmp_path / "a", {"x": entry}, b"\1\2\3\4"), kind="checkpoint")


@pytest.mark.parametrize("length", [0, 7, 2**40, 2**64 - 1])
def test_a_header_of_another_length_is_refused(length, tmp_path):
    with pytest.raises(InputError, match="damaged"):
        read_tensors(forged(tmp_path / "a", {}, length=length), kind="checkpoint")


def test_metadata_that_json_cannot_hold_are_not_written(tmp_path):
    with pytest.raises(InputError, match="cannot be written as JSON"):
        write_tensors(tmp_path / "a", TENSORS, kind="checkpoint", metadata={"x": float("nan")})
    assert not list(tmp_path.iterdir())
