"""Weights of every kind: trained and written exactly, or named in one line; scores of every size and type."""

import contextlib
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam

from snnprune import Connectivity, InputError, allocation, budget, criteria, export, find_synapses, geometry, methods
from snnprune.selection import keep_largest
from tests.options.small import BATCHES, STEPS, make, mlp, train, trained

# --- Weights

WEIGHTS: dict[str, tuple[Callable[[nn.Linear], Tensor], str]] = {
    **{
        str(dtype): (lambda layer, dtype=dtype: layer.weight.detach().to(dtype), f"weight holds {dtype}, synapses are")
        for dtype in (torch.float8_e4m3fn, torch.float8_e5m2, torch.int8, torch.int64, torch.bool, torch.complex64)
    },
    "sparse": (lambda layer: layer.weight.detach().to_sparse(), "is a sparse or nested tensor: make it a plain one"),
    "csr": (lambda layer: layer.weight.detach().to_sparse_csr(), "is a sparse or nested tensor: make it a plain one"),
    "nested": (lambda layer: torch.nested.nested_tensor([layer.weight.detach()]), "is a sparse or nested tensor"),
    "meta": (lambda layer: layer.weight.detach().to("meta"), r'has no values \(device "meta"\)'),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_that_cannot_be_trained_are_named(kind, tmp_path):
    weight, message = WEIGHTS[kind]
    network = mlp()
    optimizer = SGD(network.parameters(), lr=0.1)
    network[0].weight = nn.Parameter(weight(network[0]), requires_grad=False)
    for call in (
        lambda: find_synapses(network),
        lambda: geometry(network),
        lambda: Connectivity.from_network(network),
        lambda: export.save_csr(tmp_path / "kept.npz", network),
        lambda: budget.assess(network, BATCHES),
        *(partial(methods.create, name, network, optimizer, steps=4) for name in ("dense",)),
        *(partial(criteria.score, name, network, BATCHES) for name in criteria.names()),
    ):
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert "0.weight" in str(caught.value)
    for name in methods.names():
        with pytest.raises(InputError, match=message):
            make(name, network, optimizer)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", methods.names())
def test_methods_train_other_precisions(name, dtype):
    assert all(weight.dtype == dtype and weight.isfinite().all() for weight in trained(name, dtype).values())


@pytest.mark.parametrize("name", methods.names())
def test_pure_float16_with_adam_does_not_end_without_a_word(name, caplog):
    # Adam adds 1e-8 to the root of the second moment, which is 0 in float16: weights become nan within a few steps.
    network = mlp(torch.float16)
    optimizer = Adam(network.parameters(), lr=1e-2)
    method = make(name, network, optimizer)
    said = ""
    with contextlib.suppress(InputError):
        try:
            train(network, optimizer, 0, STEPS)
            kept = method.finalize()
            assert all(not network.get_parameter(layer)[~mask].any() for layer, mask in kept.items())
            assert kept.nonzero > 0
        except InputError as error:
            said = str(error)
            raise
    said = said or caplog.text
    assert "0.weight" in said
    assert "not finite (nan or infinity)" in said


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_csr_holds_every_precision_exactly(dtype, tmp_path):
    network = mlp(dtype)
    export.save_csr(tmp_path / "kept.npz", network)
    other = mlp(dtype)
    other[0].weight.data.zero_()
    export.restore_csr(tmp_path / "kept.npz", other)
    assert torch.equal(other[0].weight, network[0].weight)


class WithEmptyLayers(nn.Module):
    """A network with a layer without inputs and a layer without outputs beside its path."""

    def __init__(self) -> None:
        super().__init__()
        self.path, self.deaf, self.mute = mlp(), nn.Linear(0, 4, device="cpu"), nn.Linear(6, 0, device="cpu")

    def forward(self, inputs: Tensor) -> Tensor:
        return self.path(inputs) + self.deaf(self.mute(inputs))


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors is a no-op")
@pytest.mark.parametrize("name", methods.names())
def test_a_layer_of_size_zero_has_no_synapses(name, tmp_path):
    network = WithEmptyLayers()
    assert list(find_synapses(network)) == ["path.0.weight", "path.2.weight"]
    optimizer = Adam(network.parameters(), lr=1e-2)
    method = make(name, network, optimizer)
    train(network, optimizer, 0, STEPS)
    kept = method.finalize()
    assert kept.prunable == 160
    assert "160" in kept.table(geometry(network, BATCHES[0][0]))
    export.save_csr(tmp_path / "kept.npz", network, kept)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors is a no-op")
def test_the_density_of_no_synapses_is_1():
    kept = Connectivity({"a": torch.ones(0, 4, dtype=torch.bool), "b": torch.tensor([True, False])})
    assert [row["density"] for row in kept.layers().values()] == [1.0, 0.5]
    assert kept.density == 0.5
    empty = Connectivity({"a": torch.ones(0, 4, dtype=torch.bool)})
    assert (empty.density, empty.sparsity) == (1.0, 0.0)
    assert "0 of 0 synapses, density 100" in repr(empty)
    with pytest.raises(InputError, match="Linear has no synapses; synapses are the weights of"):
        find_synapses(nn.Linear(4, 0, device="cpu"))


def test_synapses_on_several_devices_are_refused():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        network = mlp()
        network[2].weight = nn.Parameter(torch.zeros(4, 16, device="cuda"))
        with pytest.raises(InputError, match=r"several devices, cpu, cuda:0: move them to one, or exclude the others"):
            methods.Dense(network, SGD(network.parameters(), lr=0.1))


# --- Scores of every size and type


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([1e-60, 1e-50, 1e-55, 1e-70], [1, 2]),
        ([1e-310, 5e-324, 1e-300, 0.0], [0, 2]),
        ([1e300, 1e308, -1e308, 1e299], [0, 1]),
        ([0.0, -0.0, 0.0, -0.0], [0, 1]),
        ([-0.0, 0.0, 1.0, -1.0], [0, 2]),
    ],
)
def test_float64_scores_are_ranked_in_float64(values, kept):
    scores = {"weight": torch.tensor([values], dtype=torch.float64)}
    for name in ("global", "uniform", "lamp", "rows", "kernels", "balanced=1", "fan-in=2"):
        if name == "lamp" and min(values) < 0:
            continue  # shifted to 0: differences far below the shift are lost, as documented
        shapes = geometry(nn.Linear(4, 1, bias=False))
        found = allocation.find(name)(scores, 0.5, shapes)["weight"].flatten().nonzero().flatten().tolist()
        assert found == kept, name
    network = nn.Linear(4, 1, bias=False, dtype=torch.float64)
    by_criterion = criteria.score(lambda network, batches: scores, network)
    assert torch.equal(by_criterion["weight"], scores["weight"])
    assert Connectivity.from_scores(by_criterion, 0.5)["weight"].flatten().nonzero().flatten().tolist() == kept


@pytest.mark.parametrize("first", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("second", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_scores_of_several_types_are_ranked_together(first, second):
    numbers = torch.Generator().manual_seed(1)
    scores = {
        "a": torch.randn(7, 5, generator=numbers, dtype=torch.float64).to(first),
        "b": torch.randn(40, generator=numbers, dtype=torch.float64).to(second),
    }
    flat = torch.cat([score.double().flatten() for score in scores.values()])
    best = torch.zeros_like(flat, dtype=torch.bool)
    best[flat.argsort(descending=True, stable=True)[:30]] = True
    kept = keep_largest(scores, 30)
    assert torch.equal(torch.cat([mask.flatten() for mask in kept.values()]), best)
    for name in ("global", "lamp", "uniform"):
        assert allocation.find(name)(scores, 0.4, {}).nonzero == 30
