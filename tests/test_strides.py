"""Gradients with the memory layout of their values."""

import torch
from torch import nn

from snnprune.strides import keep_strides


def channels_last(*shape: int) -> torch.Tensor:
    return torch.randn(shape).to(memory_format=torch.channels_last).requires_grad_()


def test_a_gradient_in_another_order_comes_back_in_that_of_its_value():
    value = channels_last(2, 3, 4, 4)
    factor = torch.randn(2, 3, 4, 4)  # in contiguous order, and with it the gradient
    seen = []
    inner = value * 1
    inner.register_hook(lambda gradient: seen.append(gradient.stride()))
    kept = keep_strides(inner)
    kept.register_hook(lambda gradient: seen.append(gradient.stride()))
    (gradient,) = torch.autograd.grad(kept, value, factor)
    assert torch.equal(kept, value)
    assert torch.equal(gradient, factor)
    assert seen == [factor.stride(), value.stride()]


def test_three_dimensions_are_enough_for_a_layout():
    value = torch.randn(2, 3, 4).transpose(1, 2).requires_grad_()
    kept = keep_strides(value)
    seen = []
    value.register_hook(lambda gradient: seen.append(gradient.stride()))
    torch.autograd.grad(kept, value, torch.randn(2, 4, 3))
    assert seen == [(12, 1, 4)]


def test_values_without_a_layout_to_keep_are_returned_unchanged():
    matrix, image = torch.randn(2, 3, requires_grad=True), channels_last(1, 2, 3, 3)
    shown = image.unsqueeze(0).expand(4, -1, -1, -1, -1)
    still = image.detach()
    assert keep_strides(matrix) is matrix
    assert keep_strides(shown) is shown
    assert keep_strides(still) is still


def test_a_network_can_be_traced():
    class Kept(nn.Module):
        def forward(self, value: torch.Tensor) -> torch.Tensor:
            return 2 * keep_strides(value)

    assert torch.equal(torch.fx.symbolic_trace(Kept())(torch.ones(2)), torch.full((2,), 2.0))


def test_second_derivatives_and_function_transforms_go_through():
    value = channels_last(1, 2, 3, 3)

    def cube(x: torch.Tensor) -> torch.Tensor:
        return keep_strides(x * x * x).sum()

    (first,) = torch.autograd.grad(cube(value), value, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), value)
    torch.testing.assert_close(second, 6 * value)
    batched = torch.func.vmap(torch.func.grad(cube))(value.detach()[None])
    torch.testing.assert_close(batched[0], 3 * value.detach() ** 2)


def test_batch_normalisation_learns_the_same():
    torch.manual_seed(0)
    plain, kept = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    images, factor = channels_last(4, 3, 5, 5), torch.randn(2, 4, 3, 5, 5)
    (plain(images).expand(2, -1, -1, -1, -1) * factor).sum().backward()
    (keep_strides(kept(images)).expand(2, -1, -1, -1, -1) * factor).sum().backward()
    torch.testing.assert_close(kept.weight.grad, plain.weight.grad)
