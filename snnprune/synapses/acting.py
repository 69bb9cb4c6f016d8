"""Layers that compute with a function of their weight: does a weight of 0 act as no synapse?"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from .probing import probing

_WRAPPED = "spikingjelly.activation_based.layer.stateless_wrapper"
_CONVOLUTIONS = {f"Conv{transposed}{axes}d" for transposed in ("", "Transpose") for axes in (1, 2, 3)}
# What a subclass overrides to compute with something else than its weight.
_COMPUTING = ("forward", "_conv_forward", "_forward", "__call__", "weight")
# Differences below this share of the largest are rounding.
_ROUNDING = 1e-3

_zeros_act: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def zeros_act(module: nn.Module) -> bool:
    """Return whether inputs act through weights of 0 in a linear layer or convolution, as in weight standardisation.

    Functions that leave zeros at 0 (rounded, scaled or normalised weights) are no obstacle to pruning. A subclass with
    a computation of its own is tried out once, on inputs of a single unit, and left as it was. One that cannot be
    tried, or that is no linear function of its input, counts as a plain layer.

    Args:
        module: a Linear or a convolution, with a plain weight that has values.
    """
    if not (_computes_itself(type(module)) or "forward" in vars(module)):
        return False
    if module not in _zeros_act:
        try:
            _zeros_act[module] = _try(cast(nn.Linear | _ConvNd, module))
        except Exception:  # code of the user's, which may need other inputs, or what it only finds in its network
            _zeros_act[module] = False
    return _zeros_act[module]


@lru_cache(maxsize=1024)
def _computes_itself(kind: type[nn.Module]) -> bool:
    plain = next(base for base in kind.__mro__ if _is_plain(base))
    return any(getattr(kind, name, None) is not getattr(plain, name, None) for name in _COMPUTING)


def _is_plain(kind: type) -> bool:
    if kind.__module__ == _WRAPPED:
        return kind.__name__ in {"Linear", *_CONVOLUTIONS}
    return kind.__module__.startswith("torch.nn.modules.")


def _try(module: nn.Linear | _ConvNd) -> bool:
    """Compare the layer with a plain one: where that passes nothing on, nothing may depend on the weight here."""
    weight = _mixed(module.weight)
    units = _single_units(module, weight)
    inputs = torch.cat([torch.zeros_like(units[:1]), units, 2 * units])
    expected = _plain_output(module, units, weight)
    with _as_it_was(module):
        silent, once, twice = (_responses(module, inputs, factor * weight) for factor in (0, 1, 2))
    count = len(units)
    gained = once[:count] - silent[:count]
    scale = _ROUNDING * once.abs().amax()
    linear = ((once[count:] - 2 * once[:count]).abs() <= scale).all()
    if gained.shape != expected.shape or not bool(linear & once.isfinite().all() & (scale > 0)):
        return False
    acting = ((gained.abs() > scale) & (expected == 0)).any()
    # A skip connection, too, passes something on when all weights are 0; but then the rest is linear in the weight.
    curved = ((twice - once - (once - silent)).abs() > scale).any()
    return bool(acting | (curved & (silent.abs() > scale).any()))


def _responses(module: nn.Module, inputs: Tensor, weight: Tensor) -> Tensor:
    """Return the outputs less those of the first input, which is 0; biases are 0 and all other parameters 1."""
    parameters = {
        name: torch.full_like(parameter, not name.endswith("bias"), dtype=weight.dtype)
        for name, parameter in module.named_parameters()
    }
    steps = getattr(module, "step_mode", "s") == "m"
    given = inputs[None] if steps else inputs
    outputs = torch.func.functional_call(module, {**parameters, "weight": weight}, (given,))
    outputs = outputs[0] if steps else outputs
    return outputs[1:] - outputs[:1]


def _mixed(weight: Tensor) -> Tensor:
    """Return ones and zeros of the weight's shape, no axis like another, float32 at least; the first entry is 0."""
    count = torch.zeros((), dtype=torch.int64, device=weight.device)
    for size, factor in zip(weight.shape, (1, 2, 3, 1, 2), strict=False):
        count = count[..., None] + factor * torch.arange(size, device=weight.device)
    return (count % 4 >= 2).to(torch.promote_types(weight.dtype, torch.float32))


def _single_units(module: nn.Linear | _ConvNd, like: Tensor) -> Tensor:
    """Return inputs in which one unit is 1, the first or the last, at the first position of a map."""
    if isinstance(module, nn.Linear):
        sizes, features = (), module.in_features
    else:
        reach = [d * (k - 1) + 1 for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        sizes, features = tuple(reach), module.in_channels
    units = like.new_zeros(2, features, *sizes)
    units[(0, 0, *(0 for _ in sizes))] = units[(1, -1, *(0 for _ in sizes))] = 1
    return units


def _plain_output(module: nn.Linear | _ConvNd, inputs: Tensor, weight: Tensor) -> Tensor:
    """Return the output of a plain layer without bias."""
    if isinstance(module, nn.Linear):
        return nn.functional.linear(inputs, weight)
    axes = len(module.kernel_size)
    if isinstance(module, _ConvTransposeNd):
        function = getattr(nn.functional, f"conv_transpose{axes}d")
        own = (module.stride, module.padding, module.output_padding, module.groups, module.dilation)
        return function(inputs, weight, None, *own)
    return getattr(nn, f"Conv{axes}d")._conv_forward(module, inputs, weight, None)


@contextmanager
def _as_it_was(module: nn.Module) -> Iterator[None]:
    """Let a layer run without hooks, gradients and torch.compile; restore attributes, buffers and random state."""
    parts = [(part, dict(vars(part)), dict(part._buffers)) for part in module.modules()]
    values = [(buffer, buffer.clone()) for buffer in module.buffers()]
    devices = {tensor.device for tensor in module.parameters() if tensor.is_cuda}
    try:
        with torch.no_grad(), torch.random.fork_rng(list(devices)), probing(module):
            for part, _, _ in parts:
                vars(part).update(_forward_hooks=OrderedDict(), _forward_pre_hooks=OrderedDict())
                vars(part).update(_compiled_call_impl=None)
            yield
    finally:
        for part, attributes, buffers in parts:
            vars(part).clear()
            vars(part).update(attributes)
            part._buffers.clear()
            part._buffers.update(buffers)
        with torch.no_grad():
            for buffer, value in values:
                buffer.copy_(value)
