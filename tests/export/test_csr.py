from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snnprune import Connectivity, InputError
from snnprune.export import csr, load_csr, restore_csr, save_csr

LAYERS = {
    "linear": lambda: nn.Linear(5, 4),
    "convolution": lambda: nn.Conv2d(4, 6, (2, 3), groups=2),
    "transposed": lambda: nn.ConvTranspose2d(4, 6, (2, 3)),
    "transposed in groups": lambda: nn.ConvTranspose1d(4, 6, 3, groups=2),
}


def linear(weight: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight), bias=False)
    layer.weight.data = torch.tensor(weight, dtype=torch.float32)
    return layer


def pruned(layer: nn.Module, seed: int, density: float = 0.5) -> tuple[nn.Module, Connectivity]:
    """A layer whose weights are 0 outside of a random connectivity."""
    generator = torch.Generator().manual_seed(seed)
    shapes = Connectivity.dense(layer)
    connectivity = Connectivity({n: torch.rand(m.shape, generator=generator) < density for n, m in shapes.items()})
    connectivity.apply_(layer)
    return layer, connectivity


def test_the_arrays_are_those_of_the_textbook(tmp_path: Path):
    save_csr(tmp_path / "net.npz", nn.Sequential(linear([[1, 0, 2], [0, 0, 0], [0, 0, 3]])))
    with np.load(tmp_path / "net.npz", allow_pickle=False) as file:
        assert file["layers"].tolist() == ["0.weight"]
        assert file["0.weight/data"].tolist() == [1, 2, 3]
        assert file["0.weight/indices"].tolist() == [0, 2, 2]
        assert file["0.weight/indptr"].tolist() == [0, 2, 2, 3]
        assert file["0.weight/shape"].tolist() == [3, 3]


def test_an_existing_synapse_of_weight_zero_survives(tmp_path: Path):
    layer = linear([[0, -0.0, 2], [0, 0, 0]])
    connectivity = Connectivity({"weight": torch.tensor([[True, True, True], [False, False, True]])})
    save_csr(tmp_path / "net.npz", layer, connectivity)
    assert load_csr(tmp_path / "net.npz")["weight"].nnz == 4
    assert restore_csr(tmp_path / "net.npz", layer) == connectivity
    assert torch.signbit(layer.weight).tolist() == [[False, True, False], [False, False, False]]


def test_rows_of_a_transposed_convolution_are_outputs_of_every_group(tmp_path: Path):
    layer = nn.ConvTranspose1d(4, 4, 1, groups=2, bias=False)
    layer.weight.data = torch.tensor([[1.0, 2], [3, 4], [5, 6], [7, 8]])[..., None]
    save_csr(tmp_path / "net.npz", layer)
    # Inputs 0 and 1 lead to outputs 0 and 1, inputs 2 and 3 to outputs 2 and 3.
    assert load_csr(tmp_path / "net.npz")["weight"].toarray().tolist() == [[1, 3], [2, 4], [5, 7], [6, 8]]


def test_a_matrix_multiplies_as_its_layer(tmp_path: Path):
    network = nn.ModuleDict({"there": nn.Conv2d(3, 5, 2, bias=False), "back": nn.ConvTranspose2d(3, 5, 2, bias=False)})
    save_csr(tmp_path / "net.npz", network)
    matrices = load_csr(tmp_path / "net.npz")
    patch, point = torch.rand(3, 2, 2), torch.rand(3, 1, 1)
    there = torch.from_numpy(matrices["there.weight"] @ patch.flatten().numpy())
    back = torch.from_numpy(matrices["back.weight"].toarray()).view(5, 3, 2, 2)
    torch.testing.assert_close(there, network["there"](patch).detach().flatten())
    torch.testing.assert_close(torch.einsum("oikl,i->okl", back, point.flatten()), network["back"](point).detach())


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(sorted(LAYERS)),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
    density=st.sampled_from([0, 0.1, 0.5, 1]),
    seed=st.integers(0, 2**31),
)
def test_a_restored_network_is_the_saved_one(tmp_path_factory: pytest.TempPathFactory, kind, dtype, density, seed):
    path = tmp_path_factory.mktemp("csr") / "net.npz"
    layer, connectivity = pruned(LAYERS[kind]().to(dtype), seed, density)
    save_csr(path, layer, connectivity)
    other = LAYERS[kind]().to(dtype)
    assert restore_csr(path, other) == connectivity
    assert torch.equal(other.weight, layer.weight)
    assert load_csr(path)["weight"].dtype == (np.float64 if dtype == torch.float64 else np.float32)


def test_only_named_layers_are_written_and_restored(tmp_path: Path):
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    save_csr(tmp_path / "net.npz", network, Connectivity.dense(network, exclude=["1"]))
    other = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    before = {name: value.clone() for name, value in other.state_dict().items()}
    assert list(restore_csr(tmp_path / "net.npz", other)) == ["0.weight"]
    assert torch.equal(other.state_dict()["0.weight"], network.state_dict()["0.weight"])
    assert all(torch.equal(before[name], other.state_dict()[name]) for name in ("0.bias", "1.weight", "1.bias"))


def test_equal_input_gives_equal_bytes(tmp_path: Path):
    network, connectivity = pruned(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), seed=0)
    backwards = Connectivity({name: connectivity[name] for name in reversed(list(connectivity))})
    save_csr(tmp_path / "a.npz", network, connectivity)
    save_csr(tmp_path / "b.npz", network, backwards)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_a_wrong_export_never_replaces_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, layer = tmp_path / "net.npz", linear([[1, 2]])
    save_csr(path, layer)
    before, honest = path.read_bytes(), csr._compress
    monkeypatch.setattr(csr, "_compress", lambda *given: honest(*given) | {"data": np.float32([1, 2.0000002])})
    with pytest.raises(RuntimeError, match="weight differs from the network"):
        save_csr(path, layer)
    assert path.read_bytes() == before


def test_weights_without_a_synapse_are_refused(tmp_path: Path):
    connectivity = Connectivity({"weight": torch.tensor([[True, False]])})
    with pytest.raises(InputError, match=r"weight has 1 weights .* connectivity.apply_"):
        save_csr(tmp_path / "net.npz", linear([[1, 2]]), connectivity)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (nn.Sequential(nn.Linear(2, 1)), r"weight is \(1, 2\) in the first and absent in the second"),
        (nn.Linear(3, 1), r"weight is \(1, 2\) in the first and \(1, 3\) in the second"),
    ],
)
def test_another_network_is_refused(tmp_path: Path, other: nn.Module, message: str):
    layer = linear([[1, 2]])
    save_csr(tmp_path / "net.npz", layer)
    with pytest.raises(InputError, match=message):
        save_csr(tmp_path / "other.npz", other, Connectivity.dense(layer))
    with pytest.raises(InputError, match=message):
        restore_csr(tmp_path / "net.npz", other)


def test_a_dtype_that_would_round_is_refused(tmp_path: Path):
    save_csr(tmp_path / "net.npz", nn.Sequential(linear([[1.0, 2.0]]), linear([[1.001, 2.0]])))
    narrow = nn.Sequential(nn.Linear(2, 1), nn.Linear(2, 1)).bfloat16()
    before = narrow[0].weight.clone()
    with pytest.raises(InputError, match=r"1.weight, torch.float32, do not fit in torch.bfloat16"):
        restore_csr(tmp_path / "net.npz", narrow)
    assert torch.equal(narrow[0].weight, before)


def test_a_file_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no CSR file at"):
        load_csr(tmp_path / "net.npz")
    np.savez(tmp_path / "net.npz", weights=np.ones(3))
    with pytest.raises(InputError, match="is not a CSR file of snnprune"):
        load_csr(tmp_path / "net.npz")
    with pytest.raises(InputError, match="cannot write"):
        save_csr(tmp_path / "missing" / "net.npz", linear([[1.0]]))


@settings(max_examples=60, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255), cut=st.booleans())
def test_damage_is_noticed(tmp_path_factory: pytest.TempPathFactory, position: float, bits: int, cut: bool):
    path = tmp_path_factory.mktemp("csr") / "net.npz"
    save_csr(path, nn.Sequential(linear([[1, 0, 2]]), linear([[3]])))
    expected = {name: matrix.toarray().tolist() for name, matrix in load_csr(path).items()}
    content = bytearray(path.read_bytes())
    at = int(position * len(content))
    content[at] ^= bits
    path.write_bytes(content[:at] if cut else content)
    try:
        found = {name: matrix.toarray().tolist() for name, matrix in load_csr(path).items()}
    except InputError:
        return
    # Harmless: a byte of a zip header without effect, such as a time.
    assert not cut
    assert found == expected
