"""Archives of arrays: what they claim is checked before it is unpacked."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from snnprune import Connectivity, InputError
from snnprune.export import load_csr, restore_csr, save_csr
from snnprune.storage import MissingFile, arrays, read_arrays, write_arrays, write_tensors

ARRAYS = {
    "a/b": np.arange(6).reshape(2, 3), "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "t": np.array(["x", "yz"]),
    "empty": np.zeros((0, 4)), "scalar": np.array(True),
}  # fmt: skip


def read(path: Path) -> dict[str, np.ndarray]:
    return read_arrays(path, lambda headers: None, what="archive")


def npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, array, allow_pickle=array.dtype.hasobject)
    return content.getvalue()


def claim(shape: tuple[int, ...], descr: object = "<f8", data: bytes = b"") -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": descr, "fortran_order": False, "shape": shape})
    return content.getvalue() + data


def packed(path: Path, members: list[tuple[str, bytes]], way: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", way) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("compress", [False, True])
def test_what_is_written_is_read_by_us_and_by_numpy(compress, tmp_path):
    write_arrays(tmp_path / "a", ARRAYS, compress=compress)
    found, theirs = read(tmp_path / "a"), np.load(tmp_path / "a")
    assert found.keys() == set(theirs) == ARRAYS.keys()
    for name, array in ARRAYS.items():
        for other in (found[name], theirs[name]):
            assert (other.dtype, other.shape) == (array.dtype, array.shape)
            assert np.array_equal(other, array)


def test_headers_are_seen_before_anything_is_read(tmp_path):
    write_arrays(tmp_path / "a", ARRAYS)
    seen = {}

    def check(headers):
        seen.update(headers)
        raise ValueError("enough")

    with pytest.raises(InputError, match=r"is not a thing of snnprune, or it is damaged \(enough\): use another copy"):
        read_arrays(tmp_path / "a", check, what="thing")
    assert {name: (header.dtype, header.shape) for name, header in seen.items()} == {
        name: (array.dtype, array.shape) for name, array in ARRAYS.items()
    }
    with pytest.raises(MissingFile, match="no thing at"):
        read_arrays(tmp_path / "b", check, what="thing")


def test_zeros_that_compress_too_well_are_stored_as_they_are(tmp_path):
    array = np.zeros(10_000_000)
    write_arrays(tmp_path / "a", {"x": array}, compress=True)
    assert (tmp_path / "a").stat().st_size > array.nbytes
    assert np.array_equal(read(tmp_path / "a")["x"], array)
    np.savez_compressed(tmp_path / "b.npz", x=array)
    with pytest.raises(InputError, match="bytes are claimed in a file of"):
        read(tmp_path / "b.npz")


@pytest.mark.parametrize("way", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (claim((10**12,)), "bytes, expected 8,000,000,000,"),
        (claim((2**62, 2**62)), "bytes, expected"),
        (claim((3,), data=bytes(23)), "bytes, expected"),
        (claim((3,), data=bytes(25)), "bytes, expected"),
        (claim((0,), data=bytes(1)), "bytes, expected"),
        (claim((-1,)), "an array of float64 and shape"),
        (npy(np.array([{}])), "an array of object"),
        (npy(np.arange(3))[:20], "damaged"),
        (b"nothing", "damaged"),
        (b"\x93NUMPY\x03\x00" + npy(np.arange(3))[8:], "an array of version"),
    ],
)
def test_arrays_that_are_none_are_refused(way, content, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read(packed(tmp_path / "a", [("x.npy", content)], way))


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize(
    "members",
    [
        [("x.npy", npy(np.arange(3)))] * 2,
        [("x.npy", npy(np.arange(3))), ("x", b"")],
        [("x.txt", b"text")],
    ],
)
def test_members_that_are_no_arrays_or_there_twice_are_refused(members, tmp_path):
    with pytest.raises(InputError, match="which is no array or there twice"):
        read(packed(tmp_path / "a", members))


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_refused(way, tmp_path):
    with pytest.raises(InputError, match="x is packed in an unknown way"):
        read(packed(tmp_path / "a", [("x.npy", npy(np.arange(3)))], way))


def changed(path: Path, *edits: tuple[bytes, int, bytes]) -> Path:
    """Overwrite bytes at some distance behind a signature."""
    content = bytearray(path.read_bytes())
    for signature, distance, value in edits:
        at = content.rindex(signature) + distance
        content[at : at + len(value)] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ((b"PK\1\2", 8, b"\1"), "packed in an unknown way"),  # encrypted
        ((b"PK\1\2", 24, b"\xff\xff\xff\x7f"), "the size of x"),  # stored, and another size when it is unpacked
        ((b"PK\5\6", 12, b"\xff\xff\xff\x7f"), "damaged"),  # a directory of 2 GB
        ((b"PK\5\6", 12, b"\xff\xff\xff\xff"), "damaged"),
        ((b"PK\1\2", 42, b"\xff\xff\xff\x7f"), "damaged"),  # a member outside of the file
        ((b"PK\1\2", 16, b"\0\0\0\0"), "damaged"),  # another checksum
    ],
)
def test_a_directory_that_lies_is_refused(edit, message, tmp_path):
    path = packed(tmp_path / "a", [("x.npy", npy(np.arange(3)))])
    with pytest.raises(InputError, match=message):
        read(changed(path, edit))


def test_a_list_of_members_that_is_too_long_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("snnprune.storage.arrays._DIRECTORY_LIMIT", 100)
    write_arrays(tmp_path / "a", ARRAYS)
    with pytest.raises(InputError, match="a list of members of"):
        read(tmp_path / "a")


def test_members_that_share_their_bytes_are_refused(tmp_path):
    names = [f"x{number}.npy" for number in range(9)]
    path = packed(tmp_path / "a", [(name, npy(np.arange(1000))) for name in names])
    content = path.read_bytes()
    directory = content[content.index(b"PK\1\2") : content.index(b"PK\5\6")]
    entry = len(directory) // len(names)
    first = content[: content.index(b"PK\3\4", 4)]
    entries = [directory[start : start + entry] for start in range(0, len(directory), entry)]
    directories = b"".join(one[:42] + bytes(4) + one[46:] for one in entries)
    end = bytearray(content[content.index(b"PK\5\6") :])
    end[16:20] = len(first).to_bytes(4, "little")
    path.write_bytes(first + directories + bytes(end))
    with pytest.raises(InputError, match="bytes are claimed in a file of"):
        read(path)


# --- Connectivities and sparse matrices


@pytest.mark.parametrize(
    "metadata", [{}, {"order": ["a"]}, {"order": ["a", "a"]}, {"order": ["a", "b", "c"]}, {"order": "ab"},
                 {"order": {"a": 1, "b": 2}}, {"order": [1, 2]}, {"order": None}, {"order": [["a"], "b"]}],
)  # fmt: skip
def test_a_connectivity_names_each_of_its_tensors_once(metadata, tmp_path):
    masks = {"a": torch.ones(2, dtype=torch.bool), "b": torch.zeros(2, dtype=torch.bool)}
    write_tensors(tmp_path / "a", masks, kind="connectivity", metadata=metadata)
    with pytest.raises(InputError, match="its order must name each of its tensors once"):
        Connectivity.load(tmp_path / "a")


GOOD = {
    "layers": np.array(["w"]),
    "w/data": np.array([1.0, 2.0, 3.0], np.float32),
    "w/indices": np.array([0, 2, 1], np.int32),
    "w/indptr": np.array([0, 2, 3], np.int32),
    "w/shape": np.array([2, 3]),
}


def test_the_matrix_by_hand(tmp_path):
    np.savez(tmp_path / "a.npz", **GOOD)
    assert load_csr(tmp_path / "a.npz")["w"].toarray().tolist() == [[1, 0, 2], [0, 3, 0]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"w/data": np.array(["1", "2", "3"])}, "w/data is <U1"),
        ({"w/data": np.array([1, 2, 3])}, "w/data is int64"),
        ({"w/data": np.array([1, 2, 3], bool)}, "w/data is bool"),
        ({"w/data": np.array([1, 2, 3], complex)}, "w/data is complex128"),
        ({"w/data": np.zeros(3, "M8[s]")}, "w/data is datetime64"),
        ({"w/data": np.zeros(3, ">f4")}, "w/data is >f4"),
        ({"w/data": np.zeros((3, 1), np.float32)}, r"of shape \(3, 1\)"),
        ({"w/data": np.zeros(4, np.float32)}, "do not hold its 4 weights"),
        ({"w/indices": np.array([0.0, 2, 1])}, "w/indices is float64"),
        ({"w/indices": np.array([0, 3, 1])}, "must ascend in each row, from 0 to 2"),
        ({"w/indices": np.array([-1, 2, 1])}, "must ascend"),
        ({"w/indices": np.array([2, 0, 1])}, "must ascend"),
        ({"w/indices": np.array([2, 2, 1])}, "must ascend"),
        ({"w/indptr": np.array([0, 3, 2])}, "the rows of w"),
        ({"w/indptr": np.array([1, 2, 3])}, "the rows of w"),
        ({"w/indptr": np.array([0, 2, 4])}, "the rows of w"),
        ({"w/indptr": np.array([], np.int64)}, r"the shape \(2, 3\) and -1 rows"),
        ({"w/indptr": np.array([0, 2, 3, 3, 3])}, r"the shape \(2, 3\) and 4 rows"),
        ({"w/indptr": np.array([0])}, r"the shape \(2, 3\) and 0 rows"),
        ({"w/shape": np.array([2.0, 3.0])}, "w/shape is float64"),
        ({"w/shape": np.array([2, 3], np.int32)}, "w/shape is int32"),
        ({"w/shape": np.array([-2, -3])}, r"the shape \(-2, -3\)"),
        ({"w/shape": np.array([6])}, r"the shape \(6,\)"),
        ({"w/shape": np.array([2**40, 2**40])}, "the shape"),
        ({"layers": np.array(["v"])}, "layers must name each layer once"),
        ({"layers": np.array(["w", "w"])}, "layers must name each layer once"),
        ({"layers": np.array([], str)}, "layers must name each layer once"),
        ({"layers": np.array([b"w"])}, "layers is"),
        ({"layers": np.array("w")}, "layers is"),
        ({"w/data": None}, "w/data is missing"),
        ({"layers": None}, "layers is missing"),
        ({"w/more": np.zeros(3)}, "w/more is unknown"),
        ({"v/data": np.zeros(3)}, "v/indices is missing"),
    ],
)
def test_matrices_that_are_none_are_refused(changes, message, tmp_path):
    arrays = {name: array for name, array in {**GOOD, **changes}.items() if array is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_csr(tmp_path / "a.npz")


def test_rows_of_another_layer_are_refused(tmp_path):
    network = nn.Sequential(nn.Linear(3, 2))
    save_csr(tmp_path / "a.npz", network)
    with np.load(tmp_path / "a.npz") as found:
        arrays = dict(found)
    arrays["0.weight/indptr"] = np.array([0, 2, 4, 6], np.int32)
    arrays["0.weight/indices"] = np.array([0, 1] * 3, np.int32)
    np.savez(tmp_path / "a.npz", **arrays)
    before = network[0].weight.clone()
    with pytest.raises(InputError, match=r"has 3 rows for 0\.weight, which has 2 postsynaptic units"):
        restore_csr(tmp_path / "a.npz", network)
    assert torch.equal(network[0].weight, before)


@pytest.mark.parametrize(
    ("length", "fits"), [(2**32 - 1, True), (2**32 - 2, False), (9_000_000, False), (7_000_000, True)]
)
def test_the_length_of_a_list_of_members_is_known_elsewhere_in_files_of_4_gb(length, fits, tmp_path):
    path = tmp_path / "large.npz"
    with path.open("wb") as file:  # sparse: it takes no space
        file.truncate(2**32)
        file.seek(0, os.SEEK_END)
        file.write(b"PK\5\6" + bytes(8) + length.to_bytes(4, "little") + bytes(6))
    with path.open("rb") as file:
        if fits:
            arrays._check_directory(file)
            assert file.tell() == 0
        else:
            with pytest.raises(ValueError, match=f"a list of members of {length:,} bytes"):
                arrays._check_directory(file)
