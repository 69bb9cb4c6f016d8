"""A battery over many networks: axes, operations by sample and step, and what can be taken away."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import CASES, Case
from spikingjelly.activation_based import functional
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from snnprune import Connectivity, effective_connectivity
from snnprune.budget import count_operations
from snnprune.graph import record
from snnprune.synapses import find_synapses


def sparse(network: nn.Module, density: float = 0.5) -> Connectivity:
    """Remove synapses at random, and return the connectivity."""
    kept = {}
    for number, (name, mask) in enumerate(Connectivity.dense(network).items()):
        kept[name] = torch.rand(mask.shape, generator=torch.Generator().manual_seed(number)) < density
    connectivity = Connectivity(kept)
    connectivity.apply_(network)
    return connectivity


def with_statistics(network: nn.Module) -> nn.Module:
    """Give normalisations values as after a training: nothing is 0 by itself."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.copy_(0.2 * torch.randn(module.num_features, generator=generator))
            module.bias.data = 0.3 * torch.randn(module.num_features, generator=generator)
    return network


class Intercepted(TorchFunctionMode):
    """Counts the operations of each call of torch's own linear layers and convolutions, where they are called."""

    LINEAR = (F.linear, torch._C._nn.linear)
    CONVOLUTIONS = (
        torch.conv1d,
        torch.conv2d,
        torch.conv3d,
        torch.conv_transpose1d,
        torch.conv_transpose2d,
        torch.conv_transpose3d,
    )

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.names = {id(entry.parameter): name for name, entry in find_synapses(network).items()}
        self.counts: dict[str, float] = dict.fromkeys(self.names.values(), 0.0)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (*self.LINEAR, *self.CONVOLUTIONS):
            given = dict(zip(("input", "weight"), args, strict=False)) | kwargs
            if (name := self.names.get(id(given["weight"]))) is not None:
                rest = {key: value for key, value in kwargs.items() if key not in ("input", "weight", "bias")}
                with torch._C.DisableTorchFunction():
                    active, exists = (given["input"] != 0).double(), (given["weight"] != 0).double()
                    self.counts[name] += float(func(active, exists, None, *args[3:], **rest).sum())
        elif func is torch.einsum and (name := self.names.get(id(args[1]))) is not None:
            with torch._C.DisableTorchFunction():
                self.counts[name] += float(torch.einsum(args[0], *((part != 0).double() for part in args[1:])).sum())
        elif func is F.multi_head_attention_forward:  # its values, means over tokens, are never exactly 0
            query, weights = args[0], {self.names.get(id(weight)): weight for weight in (args[5], args[11])}
            for name in weights.keys() - {None}:
                self.counts[name] += query.shape[0] * query.shape[1] * int((weights[name] != 0).sum())
        return func(*args, **kwargs)


def intercepted(network: nn.Module, inputs: Tensor) -> dict[str, float]:
    """Operations of each tensor of synapses, counted for these inputs alone."""
    counter = Intercepted(network)
    functional.reset_net(network)
    torch.backends.mha.set_fastpath_enabled(False)  # one operator, in which no layer is called
    with torch.no_grad(), counter:
        network(inputs)
    torch.backends.mha.set_fastpath_enabled(True)
    functional.reset_net(network)
    return counter.counts


def made(case: Case) -> nn.Module:
    torch.manual_seed(0)
    return with_statistics(case.make()).eval()


@pytest.mark.parametrize("name", CASES)
def test_axes_are_found_and_every_synapse_is_used(name):
    case = CASES[name]
    graph = record(made(case), case.example(), case.layout if case.given else None)
    assert graph.layout == (case.layout,)
    assert not graph.unused
    assert not graph.opaque
    assert {p.parameter for p in graph.projections} >= set(find_synapses(case.make()))
    assert all(p.target in graph.populations for p in graph.projections)


@pytest.mark.parametrize("name", CASES)
def test_operations_equal_those_of_torchs_own_calls_one_sample_at_a_time(name):
    case = CASES[name]
    network = made(case)
    connectivity = sparse(network)
    example = case.example()
    layout = case.layout if case.given else None
    found = count_operations(network, [example], connectivity=connectivity, layout=layout)
    for index in range(example.shape[case.axis]):
        expected = intercepted(network, example.narrow(case.axis, index, 1))
        for layer, operations in found.layers.items():
            assert float(operations.per_sample[index]) == expected[layer], (layer, index)
    for operations in found.layers.values():
        assert float(operations.per_step.sum()) == pytest.approx(operations.mean)


SMALL = [name for name in CASES if "resnet" not in name or "small" in name]


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_effective_can_be_taken_away_and_outputs_stay_the_same_to_the_last_bit(name):
    case = CASES[name]
    network = made(case)
    connectivity = sparse(network, 0.15 if name in SMALL else 0.02)
    example = case.example()
    before = outputs(network, example)
    effective = effective_connectivity(network, connectivity, example)
    assert all(not (mask & ~connectivity[layer]).any() for layer, mask in effective.items())
    effective.apply_(network)
    for old, new in zip(before, outputs(network, example), strict=True):
        assert torch.equal(old, new)


def outputs(network: nn.Module, example: Tensor) -> list[Tensor]:
    functional.reset_net(network)
    with torch.no_grad():
        found = torch.utils._pytree.tree_flatten(network(example))[0]
    functional.reset_net(network)
    return [part for part in found if isinstance(part, Tensor)]


PROPERTY = ("tokens", "geometry_of_every_kind", "HandWritten", "Attention", "BatchFirst", "CalledTwice", "spiking_lstm")


@settings(deadline=None, max_examples=25)
@given(name=st.sampled_from(PROPERTY), samples=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_a_batch_equals_its_samples_one_by_one(name, samples, seed):
    case = CASES[name]
    network = made(case)
    shape = [samples if axis == case.axis else size for axis, size in enumerate(case.shape)]
    batch = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    whole = count_operations(network, [batch], layout=case.layout)
    alone = count_operations(network, batch.split(1, dim=case.axis), layout=case.layout)
    for layer, operations in whole.layers.items():
        assert torch.equal(operations.per_sample, alone.layers[layer].per_sample)
        torch.testing.assert_close(operations.per_step, alone.layers[layer].per_step)
