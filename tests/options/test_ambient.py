"""Settings of torch around everything, and kinds of weights: works and gives the same, or is refused in one line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, Adam

from snnprune import (
    Connectivity,
    InputError,
    allocation,
    budget,
    criteria,
    dead_neurons,
    effective_connectivity,
    export,
    geometry,
    methods,
)
from tests.options.small import BATCHES, STEPS, make, mlp, train, trained


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def flushed() -> Iterator[None]:
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


AMBIENT: dict[str, Callable[[], AbstractContextManager]] = {
    "float64": partial(default_dtype, torch.float64),
    "float16": partial(default_dtype, torch.float16),
    "bfloat16": partial(default_dtype, torch.bfloat16),
    "deterministic": deterministic,
    "meta": partial(torch.device, "meta"),
    "flushed": flushed,
}


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("ambient", AMBIENT)
@pytest.mark.parametrize("name", methods.names())
def test_methods_train_to_the_same_weights(name, ambient):
    expected = trained(name)
    with AMBIENT[ambient]():
        found = trained(name)
    assert same(expected, found)


@pytest.mark.parametrize("name", methods.names())
@pytest.mark.parametrize("around", [torch.no_grad, partial(torch.autocast, "cpu", torch.bfloat16)])
def test_a_method_is_made_without_gradients_and_under_autocast(name, around):
    def weights(context: Callable[[], AbstractContextManager]) -> dict[str, Tensor]:
        network = mlp()
        optimizer = Adam(network.parameters(), lr=1e-2)
        with context():
            make(name, network, optimizer)
        train(network, optimizer, 0, STEPS)
        return dict(network.named_parameters())

    assert same(weights(nullcontext), weights(around))


@pytest.mark.parametrize("ambient", AMBIENT)
@pytest.mark.parametrize("name", criteria.names())
def test_criteria_give_the_same_scores(name, ambient):
    expected = criteria.score(name, mlp(), BATCHES)
    with AMBIENT[ambient]():
        found = criteria.score(name, mlp(), BATCHES)
    assert same(expected, found)
    assert all(score.dtype == torch.float32 for score in found.values())


def figures(folder: Path) -> list[object]:
    """What the other rooms say of a network."""
    network, (inputs, _) = mlp(), BATCHES[0]
    shapes = geometry(network, inputs)
    kept = Connectivity.from_scores(criteria.magnitude(network), 0.5)
    kept.apply_(network)
    kept.save(folder / "kept.safetensors")
    export.save_csr(folder / "kept.npz", network)
    names = ["uniform", "er", "erk", "lamp", "rows", "kernels", "filters", "fan-in=2", "balanced=4"]
    chosen = [allocation.find(name)(criteria.magnitude(network), 0.5, shapes) for name in names]
    return [
        Connectivity.load(folder / "kept.safetensors") == kept,
        export.restore_csr(folder / "kept.npz", network) == kept,
        effective_connectivity(network, kept, inputs).nonzero,
        [int(dead.sum()) for dead in dead_neurons(network, kept, inputs).values()],
        kept.jaccard_excess(methods.shuffled(kept)),
        [choice.jaccard(kept) for choice in chosen],
        budget.assess(network, [inputs], chips=["loihi1"]).to_json(),
    ]


@pytest.mark.parametrize("ambient", AMBIENT)
def test_the_other_rooms_say_the_same(ambient, tmp_path):
    expected = figures(tmp_path)
    with AMBIENT[ambient]():
        assert figures(tmp_path) == expected
    assert expected[:2] == [True, True]


# --- Inference mode: no gradients, and tensors that cannot be changed later

NO_TRAINING = r"cannot be used in torch\.inference_mode\(\): make and train it outside"


@pytest.mark.parametrize("name", methods.names())
def test_no_method_in_inference_mode(name):
    network = mlp()
    optimizer = SGD(network.parameters(), lr=0.1)
    with torch.inference_mode(), pytest.raises(InputError, match=NO_TRAINING):
        make(name, network, optimizer)
    method = make(name, network, optimizer)
    network[0].weight.grad = torch.zeros_like(network[0].weight)
    with torch.inference_mode():
        with pytest.raises(InputError, match=NO_TRAINING):
            optimizer.step()
        with pytest.raises(InputError, match=NO_TRAINING):
            method.load_state_dict(method.state_dict())
    with torch.inference_mode():
        lasting = mlp()
    with pytest.raises(InputError, match=r"0\.weight, .* made in torch\.inference_mode\(\): make the network outside"):
        methods.Dense(lasting, SGD(lasting.parameters(), lr=0.1))


@pytest.mark.parametrize("name", [name for name in criteria.names() if name not in ("magnitude", "random")])
def test_what_needs_gradients_says_so_in_inference_mode(name):
    with torch.inference_mode():
        lasting = mlp()
        with pytest.raises(InputError, match="this needs gradients"):
            criteria.score(name, mlp(), BATCHES)
    with pytest.raises(InputError, match="this needs gradients"):
        criteria.score(name, lasting, BATCHES)


def test_what_needs_none_works_in_inference_mode(tmp_path):
    network = mlp()
    with torch.inference_mode():
        kept = Connectivity.from_scores(criteria.magnitude(network), 0.5)
        kept.apply_(network)
        export.save_csr(tmp_path / "kept.npz", network, kept)
        assert geometry(network, BATCHES[0][0]).keys() == kept.keys()
        with pytest.raises(InputError, match="this needs gradients"):
            budget.assess(network, BATCHES)
    assert Connectivity.from_network(network) == kept
