import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snnprune import InputError
from snnprune.storage import read_tensors, write_atomically, write_tensors

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


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "a").write_text("old")

    def fail(path):
        path.write_text("half")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_atomically(tmp_path / "a", fail)
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_cannot_be_written_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        write_tensors(tmp_path / "missing" / "a", TENSORS, kind="checkpoint", metadata={})
