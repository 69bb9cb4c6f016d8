from itertools import product

import pytest
import torch
from torch import nn

from snnprune.layout import from_columns, from_rows, to_columns, to_rows
from snnprune.synapses import static_geometry

LAYERS = {
    "linear": nn.Linear(4, 3),
    "conv": nn.Conv2d(4, 6, (2, 3)),
    "grouped": nn.Conv1d(4, 6, 3, groups=2),
    "depthwise": nn.Conv2d(4, 8, 2, groups=4),
    "transposed": nn.ConvTranspose2d(4, 6, (2, 3)),
    "transposed-grouped": nn.ConvTranspose1d(4, 6, 3, groups=2),
    "volume": nn.Conv3d(2, 3, 2),
}


def numbered(module: nn.Module) -> torch.Tensor:
    return torch.arange(module.weight.numel()).view(module.weight.shape)


def slow_rows(module: nn.Module, *, columns: bool) -> list[list[int]]:
    """For each unit the indices of its weights, by setting one weight at a time and finding its channels."""
    geometry = static_geometry(module)
    found: list[list[int]] = [[] for _ in range(geometry.inputs if columns else geometry.outputs)]
    spatial = getattr(module, "kernel_size", ())
    image = torch.ones(1, geometry.inputs, *(size + 2 for size in spatial))
    for index in product(*map(range, module.weight.shape)):
        weight = torch.zeros_like(module.weight)
        weight[index] = 1
        values = {"weight": weight, "bias": torch.zeros_like(module.bias)}
        image.requires_grad_()
        output = torch.func.functional_call(module, values, (image,))
        (back,) = torch.autograd.grad(output.sum(), image)
        reached = back if columns else output
        units = reached[0].flatten(1).any(1) if spatial else reached[0].bool()
        found[int(units.nonzero())].append(int(numbered(module)[index]))
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_each_row_holds_the_weights_into_one_unit(name):
    module = LAYERS[name]
    rows = to_rows(numbered(module), static_geometry(module))
    assert rows.tolist() == slow_rows(module, columns=False)
    assert rows.shape[1] == static_geometry(module).fan_in


@pytest.mark.parametrize("name", LAYERS)
def test_each_column_row_holds_the_weights_out_of_one_unit(name):
    module = LAYERS[name]
    columns = to_columns(numbered(module), static_geometry(module))
    assert columns.tolist() == slow_rows(module, columns=True)
    assert columns.shape[1] == static_geometry(module).fan_out


@pytest.mark.parametrize("name", LAYERS)
def test_there_and_back_again(name):
    weight, geometry = numbered(LAYERS[name]), static_geometry(LAYERS[name])
    assert torch.equal(from_rows(to_rows(weight, geometry), geometry, weight.shape), weight)
    assert torch.equal(from_columns(to_columns(weight, geometry), geometry, weight.shape), weight)


@pytest.mark.parametrize("name", LAYERS)
def test_a_kernel_stays_together_in_both(name):
    weight, geometry = numbered(LAYERS[name]), static_geometry(LAYERS[name])
    taps = torch.Size(geometry.kernel).numel()
    for matrix in (to_rows(weight, geometry), to_columns(weight, geometry)):
        kernels = matrix.reshape(-1, taps)
        assert torch.equal(kernels, kernels[:, :1] + torch.arange(taps))


def test_a_channels_last_weight_is_read_in_its_logical_order():
    module = LAYERS["conv"]
    weight, geometry = numbered(module), static_geometry(module)
    strided = weight.to(memory_format=torch.channels_last)
    assert torch.equal(to_rows(strided, geometry), to_rows(weight, geometry))
    assert torch.equal(to_columns(strided, geometry), to_columns(weight, geometry))
